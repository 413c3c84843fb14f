"""Makes the constants of the text tests of patterns: make_weights.py FILE (needs numpy)."""
import numpy as np, sys
r=np.random.default_rng(5)
f=lambda *s: r.normal(size=s).astype(np.float32)
w={'filter':f(4,3,3,3),'filter_bias':f(4),'factor4':f(4,1,1),'gamma4':f(4),'beta4':f(4),'mean4':f(4),
'variance4':(f(4)**2+0.5).astype(np.float32),'matrix':f(8,3),'vector3':f(3),'vector16':f(16),'weight16':f(16),
'matrix2':f(8,16)}
for n,v in dict(zero=0,one=1,two=2,three=3,four=4,half=.5,sixth=1/6,sqrt_half=.5**.5,eps=1e-5,sixteenth=.0625,negone=-1).items():
    w[n]=np.array(v,np.float32)
w['ones3']=np.ones(3,np.float32); w['half_11']=np.full((1,1),.5,np.float32)
w['shape12']=np.array([12],np.int64); w['index']=np.array([0,2],np.int64)
w['copy_a']=np.array([1,2,3],np.float32); w['copy_b']=np.array([1,2,3],np.float32); w['copy_c']=np.array([1,2,4],np.float32)
np.savez(sys.argv[1],**w)
