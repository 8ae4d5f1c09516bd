"""Look into a SavedModel before it is loaded: it is a program, and TensorFlow runs whatever operation it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from assay.errors import BadModel
from model.assets import Place, check_assets, functions_named, names_of, own_vocabularies
from model.operations import COMPUTATION

_RESTORING = frozenset({"RestoreV2"})
_SAVING = frozenset({"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"})
_RUN_ON_LOADING = ("saved_model_main_op", "legacy_init_op")
_SHOWN = 10


def check_saved_model(folder: Path) -> Any:
    """The SavedModel's protocol buffer, after it was looked through.

    Operations that read and write checkpoints are in every SavedModel. They are accepted in the part that saves and
    restores the variables, where nothing that answers or initialises can reach them. Tables may be filled from the
    model's own assets.

    Raises:
        BadModel: the model could do more than compute; names the operations that could.
    """
    from tensorflow.python.saved_model.loader_impl import parse_saved_model  # what TensorFlow's own loader reads with

    try:
        model = parse_saved_model(str(folder))
    except OSError as error:
        raise BadModel("saved_model.pb is damaged: it is no SavedModel") from error
    found: set[str] = set()
    for graph in model.meta_graphs:
        check_assets(folder, graph)
        found.update(_forbidden(graph, own_vocabularies(graph, alone=len(model.meta_graphs) == 1)))
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise BadModel(
            f"operations that are not accepted: {', '.join(sorted(found)[:_SHOWN])}{more}; accepted are those that "
            "compute, and touch no file, network, process or Python"
        )
    return model


def _forbidden(meta_graph: Any, own: set[Place]) -> Iterator[str]:
    """The operations of a MetaGraphDef that are not accepted where they stand; those at `own` are."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    signatures = meta_graph.signature_def.values()
    outputs = [name for signature in signatures for info in signature.outputs.values() for name in names_of(info)]
    initial = [name for key in _RUN_ON_LOADING for name in meta_graph.collection_def[key].node_list.value]
    run = _upstream(nodes, [*outputs, *initial])
    restoring = _upstream(nodes, [meta_graph.saver_def.restore_op_name]) - run
    saving = _upstream(nodes, [meta_graph.saver_def.save_tensor_name]) - run - restoring
    others = nodes.keys() - restoring - saving

    # TensorFlow's loader may call any concrete function by itself
    run_functions = _called(functions, (nodes[name] for name in others), meta_graph.object_graph_def.concrete_functions)
    saver_functions = _called(functions, (nodes[name] for name in restoring | saving)) - run_functions
    other_functions = functions.keys() - saver_functions

    for accepted, part in (
        (COMPUTATION, _in_graph(nodes, others)),
        (COMPUTATION, _in_functions(functions, other_functions)),
        (COMPUTATION | _RESTORING, _in_graph(nodes, restoring)),
        (COMPUTATION | _SAVING, _in_graph(nodes, saving)),
        (COMPUTATION | _SAVING, _in_functions(functions, saver_functions)),
    ):
        yield from (
            node.op
            for function, node in part
            if node.op not in accepted and node.op not in functions and (function, node.name) not in own
        )


def _in_graph(nodes: dict[str, Any], names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    return (("", nodes[name]) for name in names)


def _in_functions(functions: dict[str, Any], names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    return ((name, node) for name in names for node in functions[name].node_def)


def _upstream(nodes: dict[str, Any], names: Iterable[str]) -> set[str]:
    """These nodes, and all that they take their inputs from."""
    found: set[str] = set()
    waiting = [name for name in names if name]
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in found:
            found.add(name)
            waiting.extend(nodes[name].input)
    return found


def _called(functions: dict[str, Any], nodes: Iterable[Any], names: Iterable[str] = ()) -> set[str]:
    """These functions, those that these nodes call, and those that they call in turn."""
    found = set(names) & functions.keys()
    waiting = [*nodes, *(node for name in found for node in functions[name].node_def)]
    while waiting:
        called = functions_named(waiting.pop())
        for name in (called & functions.keys()) - found:
            found.add(name)
            waiting.extend(functions[name].node_def)
    return found
