"""Makes the detector of the tests of sizes that depend on data: make_detect.py FOLDER (needs numpy, onnx and
onnxruntime, which gives the expected results)."""
import os, sys
import numpy as np, onnx, onnxruntime as ort
from onnx import helper as h, TensorProto as T, numpy_helper as nh
out = sys.argv[1]
r = np.random.default_rng(5)
N, C = 64, 3
def f(*s): return r.normal(size=s).astype(np.float32)
def i64(*v): return np.array(v, np.int64)
consts = dict(box_w=f(4, 8, 1, 1) * .3, score_w=f(C, 8, 1, 1) * .5, box_shape=i64(1, 4, N), score_shape=i64(1, C, N),
              anchors=(r.random((1, N, 4)) * 4).astype(np.float32), most=i64(8), iou=np.float32([.3]), low=np.float32([.8]),
              zero=i64(0), one=np.array(1, np.int64), axis1=i64(1), two=i64(2), three=i64(3), head=i64(10),
              factors=np.float32([2, 2, 2, 2, 1]))
n = h.make_node
nodes = [n('Conv', ['x', 'box_w'], ['box_map']), n('Conv', ['x', 'score_w'], ['score_map']),
         n('Reshape', ['box_map', 'box_shape'], ['box_rows']), n('Transpose', ['box_rows'], ['box_offsets'], perm=[0, 2, 1]),
         n('Add', ['box_offsets', 'anchors'], ['boxes']), n('Reshape', ['score_map', 'score_shape'], ['score_rows']),
         n('Sigmoid', ['score_rows'], ['scores']),
         n('NonMaxSuppression', ['boxes', 'scores', 'most', 'iou', 'low'], ['found'], name='nms'),
         n('Slice', ['found', 'zero', 'head', 'zero'], ['best']),
         n('Slice', ['best', 'two', 'three', 'axis1'], ['column']), n('Squeeze', ['column', 'axis1'], ['index']),
         n('Squeeze', ['boxes', 'zero'], ['flat_boxes']), n('Gather', ['flat_boxes', 'index'], ['picked'], axis=0),
         n('Gather', ['best', 'one'], ['class_index'], axis=1), n('Unsqueeze', ['class_index', 'axis1'], ['class_column']),
         n('Cast', ['class_column'], ['classes'], to=T.FLOAT), n('Concat', ['picked', 'classes'], ['rows'], axis=1),
         n('Mul', ['rows', 'factors'], ['detections']), n('Shape', ['found'], ['count'])]
vi = h.make_tensor_value_info
g = h.make_graph(nodes, 'detect', [vi('x', T.FLOAT, [1, 8, 8, 8])],
                 [vi('detections', T.FLOAT, [None, 5]), vi('count', T.INT64, [2]), vi('found', T.INT64, [None, 3])],
                 [nh.from_array(np.asarray(v), k) for k, v in consts.items()])
m = h.make_model(g, opset_imports=[h.make_opsetid('', 17)], ir_version=8, producer_name='test')
onnx.checker.check_model(m)
onnx.save(m, os.path.join(out, 'detect.onnx'))
session = ort.InferenceSession(m.SerializeToString())
os.makedirs(os.path.join(out, 'detect'), exist_ok=True)
# Many boxes, few, none.
for name, gain, shift in ('many', 1.0, 0.0), ('few', .55, 0.0), ('none', 0.0, 0.0):
    x = (f(1, 8, 8, 8) * gain + shift).astype(np.float32)
    y = session.run(None, {'x': x})
    print(name, [a.shape for a in y])
    np.savez(os.path.join(out, 'detect', name + '.npz'), x=x)
    np.savez(os.path.join(out, 'detect_' + name + '.npz'), detections=y[0], count=y[1], found=y[2])
# The found indices reshaped to as many rows as there can be: refused.
bad = [n('NonMaxSuppression', ['boxes', 'scores', 'most'], ['found'], name='nms'),
       n('Reshape', ['found', 'bound'], ['y'], name='fixed')]
rows = [('reshape', bad, {'most': i64(4), 'bound': i64(12, 3)}),
        ('topk', [bad[0], n('TopK', ['found', 'k'], ['y', 'i'], axis=0, name='top')], {'most': i64(4), 'k': i64(3)}),
        ('dynamic', [bad[0], n('Shape', ['found'], ['s']), n('ConstantOfShape', ['s'], ['y'], name='fill')], {'most': i64(4)}),
        ('norm', [bad[0], n('Cast', ['found'], ['c'], to=T.FLOAT), n('LpNormalization', ['c'], ['y'], name='norm')], {'most': i64(4)})]
for name, nodes, init in rows:
    g = h.make_graph(nodes, name, [vi('boxes', T.FLOAT, [1, 6, 4]), vi('scores', T.FLOAT, [1, 3, 6])], [vi('y', T.FLOAT if name in ('dynamic', 'norm') else T.INT64, None)],
                     [nh.from_array(v, k) for k, v in init.items()])
    onnx.save(h.make_model(g, opset_imports=[h.make_opsetid('', 17)], ir_version=8, producer_name='test'), os.path.join(out, 'detect_bad_' + name + '.onnx'))
