"""Models that take serialised tf.Example records, as TensorFlow 1's estimators were exported: each feature is an input.

Source: tensorflow/core/example/example.proto, and the operations ParseExample and ParseExampleV2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.evaluation import Tensor

_PARSE = ("ParseExample", "ParseExampleV2")


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
    columns = [_one_feature(feature, arrays[feature.name]) for feature in features]
    records = np.empty(len(next(iter(arrays.values()))), object)
    # serialised messages behind each other are one message with the fields of all
    records[:] = [b"".join(parts) for parts in zip(*columns, strict=True)]
    return records


def _one_feature(feature: Tensor, array: NDArray[Any]) -> list[bytes]:
    """A record for each sample that holds this feature alone; each different value is serialised once."""
    from tensorflow import train  # loaded already

    kind, list_of = {
        "float32": ("float_list", train.FloatList),
        "int64": ("int64_list", train.Int64List),
        "string": ("bytes_list", train.BytesList),
    }[feature.dtype]
    made: dict[tuple[Any, ...], bytes] = {}
    rows = [tuple(row) for row in array.reshape(len(array), math.prod(array.shape[1:])).tolist()]
    for row in set(rows):
        values = [value.encode() for value in row] if feature.dtype == "string" else row
        of_value = train.Feature(**{kind: list_of(value=values)})
        made[row] = train.Example(features=train.Features(feature={feature.name: of_value})).SerializeToString()
    return [made[row] for row in rows]


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
