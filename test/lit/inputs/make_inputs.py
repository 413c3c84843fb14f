"""Makes the models and samples of the command tests: make_inputs.py FOLDER (needs numpy and onnx)."""
import numpy as np, onnx, sys, os
from onnx import helper as h, TensorProto as T, numpy_helper as nh
r=np.random.default_rng(3)
out=sys.argv[1]
os.makedirs(out,exist_ok=True)
def f(*s): return r.normal(size=s).astype(np.float32)
def save(name,g,ext=False):
    m=h.make_model(g,opset_imports=[h.make_opsetid('',13)],ir_version=8,producer_name='test')
    onnx.checker.check_model(m)
    p=os.path.join(out,name)
    if ext: onnx.save(m,p,save_as_external_data=True,all_tensors_to_one_file=True,location=name+'.data',size_threshold=0)
    else: onnx.save(m,p)
ini=lambda n,a: nh.from_array(a,n)
vi=lambda n,s,t=T.FLOAT: h.make_tensor_value_info(n,t,s)
# net: image 1x3x8x8 -> conv bn relu, maxpool, residual add, gap, gemm, softmax
w=dict(w1=f(8,3,3,3)*.3,b1=f(8)*.1,g=f(8)*.2+1,be=f(8)*.1,mu=f(8)*.1,va=(f(8)**2+.5).astype(np.float32),
       w2=f(8,8,3,3)*.15,b2=f(8)*.1,fc=f(8,5)*.5,fb=f(5)*.1)
nodes=[h.make_node('Conv',['data','w1','b1'],['conv1'],kernel_shape=[3,3],pads=[1,1,1,1]),
 h.make_node('BatchNormalization',['conv1','g','be','mu','va'],['bn1']),
 h.make_node('Relu',['bn1'],['relu1']),
 h.make_node('Conv',['relu1','w2','b2'],['conv2'],kernel_shape=[3,3],pads=[1,1,1,1]),
 h.make_node('Add',['conv2','relu1'],['sum']),
 h.make_node('Sigmoid',['sum'],['gate']),
 h.make_node('Mul',['sum','gate'],['swish']),
 h.make_node('MaxPool',['swish'],['pool'],kernel_shape=[2,2],strides=[2,2]),
 h.make_node('ReduceMean',['pool'],['mean'],axes=[2,3],keepdims=0),
 h.make_node('Gemm',['mean','fc','fb'],['logits']),
 h.make_node('Softmax',['logits'],['prob'],axis=1)]
save('net.onnx',h.make_graph(nodes,'net',[vi('data',['batch',3,8,8])],[vi('prob',['batch',5])],[ini(k,v) for k,v in w.items()]))
save('external.onnx',h.make_graph([h.make_node('MatMul',['x','w'],['y'])],'e',[vi('x',[2,4])],[vi('y',[2,3])],[ini('w',f(4,3))]),ext=True)
# two inputs, one of indices
save('embed.onnx',h.make_graph([h.make_node('Gather',['table','ids'],['rows']),h.make_node('Add',['rows','x'],['sum']),h.make_node('Relu',['sum'],['out'])],
  'embed',[vi('x',[3,4]),vi('ids',[3],T.INT64)],[vi('out',[3,4])],[ini('table',f(6,4))]))
m=h.make_model(h.make_graph([h.make_node('Relu',['x'],['a'],name='node_a'),h.make_node('NonMaxSuppressionXL',['a'],['y'],name='node_b')],'u',[vi('x',[2,4])],[vi('y',[2,4])]),opset_imports=[h.make_opsetid('',13)],ir_version=8)
onnx.save(m,os.path.join(out,'unsupported.onnx'))
x=f(1,3,8,8)
np.savez(os.path.join(out,'data.npz'),data=x)
os.makedirs(os.path.join(out,'samples'),exist_ok=True)
for i in range(6): np.savez(os.path.join(out,'samples',f'{i}.npz'),data=f(1,3,8,8))
y=x.copy(); y[0,0,0,:3]=[np.nan,np.inf,-np.inf]
np.savez(os.path.join(out,'nan.npz'),data=y)
np.savez(os.path.join(out,'missing_key.npz'),dat=x)
np.savez(os.path.join(out,'extra_key.npz'),data=x,other=x)
np.savez(os.path.join(out,'wrong_shape.npz'),data=x[:,:2])
np.savez(os.path.join(out,'pair.npz'),x=f(3,4),ids=np.array([5,0,2],np.int64))
np.savez(os.path.join(out,'embed_far.npz'),x=f(3,4),ids=np.array([.5,0,2],np.float32))
open(os.path.join(out,'no_image.jpg'),'w').write('this is no picture\n')
