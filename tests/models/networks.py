"""ONNX models whose data lie in other files, at every place where the format allows a tensor."""

from collections.abc import Callable

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto


def tensor(*paths: str) -> TensorProto:
    """One whose data lie in a file; several paths are several contradicting entries."""
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for path in paths:
        made.external_data.add(key="location", value=path)
        made.external_data.add(key="offset", value="0")
    return made


def node(**attribute: object) -> NodeProto:
    return NodeProto(op_type="If", attribute=[AttributeProto(name="a", **attribute)])


def model(**graph: object) -> ModelProto:
    return ModelProto(ir_version=10, graph=GraphProto(name="g", **graph))


def external_model(path: str) -> bytes:
    return model(initializer=[tensor(path)]).SerializeToString()


PLACES: dict[str, Callable[[TensorProto], ModelProto]] = {
    "initializer": lambda one: model(initializer=[one]),
    "sparse values": lambda one: model(sparse_initializer=[SparseTensorProto(values=one)]),
    "sparse indices": lambda one: model(sparse_initializer=[SparseTensorProto(indices=one)]),
    "attribute": lambda one: model(node=[node(t=one)]),
    "attributes": lambda one: model(node=[node(tensors=[TensorProto(), one])]),
    "sparse attribute": lambda one: model(node=[node(sparse_tensor=SparseTensorProto(values=one))]),
    "sparse attributes": lambda one: model(node=[node(sparse_tensors=[SparseTensorProto(indices=one)])]),
    "branch": lambda one: model(node=[node(g=GraphProto(initializer=[one]))]),
    "branch in a branch": lambda one: model(
        node=[node(graphs=[GraphProto(node=[node(g=GraphProto(initializer=[one]))])])]
    ),
    "function": lambda one: ModelProto(graph=GraphProto(), functions=[FunctionProto(node=[node(t=one)])]),
    "default of a function": lambda one: ModelProto(
        graph=GraphProto(), functions=[FunctionProto(attribute_proto=[AttributeProto(name="a", t=one)])]
    ),
    "training": lambda one: _training(one),
}


def _training(one: TensorProto) -> ModelProto:
    made = model()
    made.training_info.add().algorithm.initializer.append(one)
    return made
