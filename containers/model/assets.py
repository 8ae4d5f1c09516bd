"""The vocabulary files of a SavedModel: which operations read only the archive's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from assay.errors import BadModel
from model.archive import shown

TABLE_FROM_FILE = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
"""They fill a table from the text file whose path is their second input."""
INITIALISATION = "__saved_model_init_op"
"""The signature that TensorFlow runs when it loads a model."""
_PASSES_ON = frozenset({"Identity"})
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_FOLLOWED = _PASSES_ON | _CALLS | TABLE_FROM_FILE | {"NoOp"}

Place = tuple[str, str]
"""Where a node stands: its function ("" for the graph), its name."""


def check_assets(folder: Path, meta_graph: Any) -> None:
    """Raises BadModel when an asset of a MetaGraphDef is no file in the model's own `assets/`.

    TensorFlow joins `assets/` and the name: an absolute one, or one with `..`, could be any file of the machine.
    """
    for asset in _assets(meta_graph):
        name = asset.filename
        inside = not name.startswith("/") and "://" not in name and ".." not in PurePosixPath(name).parts
        if not inside or not (folder / "assets" / name).is_file():
            raise BadModel(f"the asset {shown(name)} is not accepted; expected a file in the model's own assets/")


def own_vocabularies(meta_graph: Any, *, alone: bool) -> set[Place]:
    """The operations that fill a table from a file, and can be given no path but that of an asset.

    Args:
        meta_graph: the MetaGraphDef; `check_assets` has found its assets to be in order.
        alone: the SavedModel holds no other. TensorFlow then loads its objects and their functions, else its graph.
    """
    if _FOLLOWED & {function.signature.name for function in meta_graph.graph_def.library.function}:
        return set()  # a function may take an operation's name, and its place
    if alone and meta_graph.HasField("object_graph_def"):
        return set(_Functions(meta_graph).own())
    return set(_in_graph(meta_graph))


def _assets(meta_graph: Any) -> Iterator[Any]:
    from tensorflow.core.protobuf.meta_graph_pb2 import AssetFileDef  # loaded already

    yield from meta_graph.asset_file_def
    for packed in meta_graph.collection_def["saved_model_assets"].any_list.value:  # where TensorFlow 1 had them first
        asset = AssetFileDef()
        packed.Unpack(asset)
        yield asset


class _Functions:
    """Paths through the functions of objects, as TensorFlow 2 saves them."""

    def __init__(self, meta_graph: Any) -> None:
        objects = meta_graph.object_graph_def
        self._functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
        self._nodes = {
            name: {node.name: node for node in function.node_def} for name, function in self._functions.items()
        }
        self._bound = {name: tuple(saved.bound_inputs) for name, saved in objects.concrete_functions.items()}
        # an asset with children or a class of its own could be given another path when it is loaded
        self._assets = {
            place
            for place, node in enumerate(objects.nodes)
            if node.WhichOneof("kind") == "asset"
            and not (node.children or node.registered_name or node.saveable_objects or node.slot_variables)
        }
        self._calls: dict[str, list[tuple[str, Any]]] = defaultdict(list)
        for caller, function in self._functions.items():
            for node in function.node_def:
                for name in functions_named(node) & self._functions.keys():
                    self._calls[name].append((caller, node))

    def own(self) -> Iterator[Place]:
        for function, nodes in self._nodes.items():
            if len(nodes) < len(self._functions[function].node_def):
                continue  # two nodes of one name: which one is meant?
            for node in nodes.values():
                if node.op in TABLE_FROM_FILE and self._is_asset(function, node.input[1], frozenset()):
                    yield function, node.name

    def _is_asset(self, function: str, tensor: str, seen: frozenset[Place]) -> bool:
        """Whether a tensor in a function is an asset's path, whoever calls it."""
        name = tensor.partition(":")[0]
        if (function, name) in seen:
            return False
        seen |= {(function, name)}
        arguments = self._functions[function].signature.input_arg
        for place, argument in enumerate(arguments):
            if argument.name == name:
                # a list among them would shift their places
                plain = not any(each.number_attr or each.type_list_attr for each in arguments)
                return plain and self._always_gets_asset(function, place, len(arguments), seen)
        node = self._nodes[function].get(name)
        return node is not None and node.op in _PASSES_ON and self._is_asset(function, node.input[0], seen)

    def _always_gets_asset(self, function: str, place: int, arguments: int, seen: frozenset[Place]) -> bool:
        bound, calls = self._bound.get(function), self._calls[function]
        if bound is not None:
            at = place - (arguments - len(bound))  # what is bound comes last
            if not 0 <= at < len(bound) or len(bound) > arguments or bound[at] not in self._assets:
                return False
        return (bound is not None or bool(calls)) and all(
            node.op in {*_CALLS, function}
            and place < len(node.input)
            and self._is_asset(caller, node.input[place], seen)
            for caller, node in calls
        )


def _in_graph(meta_graph: Any) -> Iterator[Place]:
    """Those that run when TensorFlow 1's graph is initialised, which gives an asset's tensor its path, and only then.

    At any other time that tensor may be a constant with any path.
    """
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    if len(nodes) < len(meta_graph.graph_def.node):
        return  # two nodes of one name: which one is meant?
    consumers: dict[str, list[str]] = defaultdict(list)
    for node in nodes.values():
        for tensor in node.input:
            consumers[_node(tensor)].append(node.name)
    assets = {_full(asset.tensor_info.name) for asset in _assets(meta_graph)}
    signatures = {name: tensors for name, tensors in meta_graph.signature_def.items() if name != INITIALISATION}
    saver = meta_graph.saver_def
    run = {saver.restore_op_name, saver.save_tensor_name, saver.filename_tensor_name}
    run |= {name for signature in signatures.values() for info in signature.outputs.values() for name in names_of(info)}
    run = {_node(name) for name in run}
    definitions = b"\0".join(
        value for collection in meta_graph.collection_def.values() for value in collection.bytes_list.value
    )
    for node in nodes.values():
        if node.op not in TABLE_FROM_FILE or not _is_asset_tensor(nodes, node.input[1], assets):
            continue
        after = _downstream(consumers, node.name)
        if all(
            name not in run and name.encode() not in definitions and (name == node.name or nodes[name].op == "NoOp")
            for name in after
        ):
            yield "", node.name


def _is_asset_tensor(nodes: dict[str, Any], tensor: str, assets: set[str]) -> bool:
    for _ in range(len(nodes)):
        if _full(tensor) in assets:
            return True
        node = nodes.get(_node(tensor))
        if node is None or node.op not in _PASSES_ON:
            return False
        tensor = node.input[0]
    return False


def _downstream(consumers: dict[str, list[str]], name: str) -> set[str]:
    found, waiting = {name}, [name]
    while waiting:
        new = set(consumers[waiting.pop()]) - found
        found |= new
        waiting.extend(new)
    return found


def functions_named(node: Any) -> set[str]:
    """The functions that a node may call."""
    named = {node.op}
    for value in node.attr.values():
        named.add(value.func.name)
        named.update(function.name for function in value.list.func)
    return named


def names_of(info: Any) -> list[str]:
    """The tensors of a TensorInfo: one, or the parts of a sparse or composite one."""
    sparse = info.coo_sparse
    parts = [info.name, sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    parts += [name for component in info.composite_tensor.components for name in names_of(component)]
    return [name for name in parts if name]


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _full(tensor: str) -> str:
    return tensor if ":" in tensor else f"{tensor}:0"
