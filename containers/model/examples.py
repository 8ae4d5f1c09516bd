"""Models that take serialised tf.Example records, as TensorFlow 1's estimators were exported: each feature is an input.

Source: tensorflow/core/example/example.proto, and the operations ParseExample and ParseExampleV2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Tensor

_PARSE = ("ParseExample", "ParseExampleV2")
_LISTS = {"float32": "float_list", "int64": "int64_list", "string": "bytes_list"}


def features_of(graph: Any) -> tuple[Tensor, ...]:
    """What a GraphDef, or a function in it, reads from tf.Example records; () when it parses none, or several kinds."""
    found = [
        (node, {each.name: each for each in nodes})
        for nodes in (graph.node, *(function.node_def for function in graph.library.function))
        for node in nodes
        if node.op in _PARSE
    ]
    try:
        return _features(*found[0]) if len(found) == 1 else ()
    except KeyError:  # the names are no constants beside it
        return ()


def serialised(features: Sequence[Tensor], arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """(n,) tf.Example records, as bytes, of an array for each feature: (n,) or (n, values)."""
    import tensorflow as tf  # loaded already

    train = tf.train
    kinds = {"float_list": train.FloatList, "int64_list": train.Int64List, "bytes_list": train.BytesList}
    columns = []
    for feature in features:
        array = arrays[feature.name]
        rows = array.reshape(len(array), -1).tolist()
        if feature.dtype == "string":
            rows = [[text.encode() for text in row] for row in rows]
        columns.append((feature.name, _LISTS[feature.dtype], rows))
    records = np.empty(len(next(iter(arrays.values()))), object)
    for place in range(len(records)):
        values = {name: train.Feature(**{kind: kinds[kind](value=rows[place])}) for name, kind, rows in columns}
        records[place] = train.Example(features=train.Features(feature=values)).SerializeToString()
    return records


def _features(node: Any, nodes: Mapping[str, Any]) -> tuple[Tensor, ...]:
    import tensorflow as tf  # loaded already

    def keys(tensor: str) -> list[str]:
        value = tf.make_ndarray(nodes[tensor.partition(":")[0]].attr["value"].tensor)
        return [key.decode() for key in np.ravel(value).tolist()]

    sparse_types = [tf.as_dtype(number).name for number in node.attr["sparse_types"].list.type]
    dense_types = [tf.as_dtype(number).name for number in node.attr["Tdense"].list.type]
    if node.op == "ParseExampleV2":
        sparse, dense = keys(node.input[2]), keys(node.input[3])
    else:
        first = 2 + len(sparse_types)
        sparse = [key for tensor in node.input[2:first] for key in keys(tensor)]
        dense = [key for tensor in node.input[first : first + len(dense_types)] for key in keys(tensor)]
    shapes = [
        tuple(None if size.size < 0 else size.size for size in shape.dim)
        for shape in node.attr["dense_shapes"].list.shape
    ]
    return (
        *(Tensor(name=name, shape=(None,), dtype=dtype) for name, dtype in zip(sparse, sparse_types, strict=True)),
        *(
            Tensor(name=name, shape=(None, *shape), dtype=dtype)
            for name, dtype, shape in zip(dense, dense_types, shapes, strict=True)
        ),
    )
