"""Reports as JSON, described in docs/report.md and report.schema.json; ``schema`` counts its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from convcli.core.tables import SCHEMA, to_json
from convcli.engine.computers import Computation
from convcli.geometry.describe import axes_dict, operation_word, to_nchw
from convcli.kernels.kernel import Kernel
from convcli.native.loader import instruction_set
from convcli.pipeline.reports.report import ImageFile, Report, parameter_count
from convcli.pipeline.reports.stages import stage_dict

if TYPE_CHECKING:
    from convcli.networks.maps import MapFacts

_MAX_WEIGHTS: Final = 1024  # more are not listed


def as_json(report: Report) -> str:
    """The report as one line of JSON."""
    return to_json(report_dict(report))


def report_dict(report: Report) -> dict[str, Any]:
    """The report as JSON types."""
    return _convolution_dict(report) if report.network is None else _network_dict(report, report.network)


def _network_dict(report: Report, network: MapFacts) -> dict[str, Any]:
    """A report about a map of a network, which has no kernel and no plan."""
    field = network.field
    return {
        "schema": SCHEMA,
        "input": _file_dict(report.source, report.input_shape),
        "network": {
            "model": network.model,
            "node": network.node,
            "operator": network.operator,
            "details": network.details,
            "input": list(network.input),
            "layout": network.layout,
            "values": network.values,
            "runtime": network.runtime,
        },
        "receptive_field": None if field.size is None else list(field.size),
        "jump": None if field.jump is None else [float(value) for value in field.jump],
        "offset": None if field.offset is None else [float(value) for value in field.offset],
        "parameters": network.parameters,
        "multiply_adds": network.multiply_adds,
        **_values_dict(report),
        "seconds": round(report.seconds, 6),
        "metadata": [name for name, _ in report.metadata],
        "notes": list(report.notes),
    }


def _values_dict(report: Report) -> dict[str, Any]:
    """Where the map went, its values, and how they became pixels."""
    return {
        "output": {
            **_file_dict(report.target, report.output_shape),
            "map": report.index,
            "frame": report.frame,
        },
        "range": {"low": float(report.low), "high": float(report.high)},
        "nonfinite": {"nan": report.nan, "infinite": report.infinite},
        "pixels": {
            "nan": report.nan_pixels,
            "ignored": report.ignored_pixels,
            "undefined": report.undefined,
        },
        "mapping": str(report.mapping),
        "saturated": {"below": report.below, "above": report.above, "of": report.values},
    }


def _convolution_dict(report: Report) -> dict[str, Any]:
    kernel = report.kernel
    return {
        "schema": SCHEMA,
        "input": _file_dict(report.source, report.input_shape),
        "kernel": {
            "name": kernel.name,
            "shape": list(kernel.tensor_shape),
            "weights": _nested_weights(kernel),
            "sum": float(kernel.map_sums[min(report.index, kernel.maps - 1)]),
            "bias": float(kernel.biases[min(report.index, kernel.maps - 1)]),
            "combine": kernel.combine,
            "operation": _operation(report),
        },
        "padding": report.padding,
        **({"stages": [stage_dict(stage) for stage in report.stages]} if report.stages else {}),
        "axes": axes_dict(report.geometry),
        "uncovered": report.geometry.uncovered,
        "receptive_field": list(report.receptive_field),
        "parameters": report.parameters,
        "multiply_adds": report.multiply_adds,
        "channels": report.channels,
        "groups": report.groups,
        **_values_dict(report),
        "plan": plan_dict(report.plan),
        "seconds": round(report.seconds, 6),
        "metadata": [name for name, _ in report.metadata],
        "notes": list(report.notes),
    }


def manifest_row(report: Report) -> dict[str, Any]:
    """The report without what `settings_dict` has of it, except for the kernel's name."""
    shared = {
        "schema": SCHEMA,
        **settings_dict(report.kernel, _operation(report), report.padding, report.groups),
    }
    whole = report_dict(report)
    kernel = {key: value for key, value in whole["kernel"].items() if key not in shared["kernel"]}
    row = {key: value for key, value in whole.items() if key not in shared}
    return {"input": row.pop("input"), "kernel": {"name": report.kernel.name, **kernel}, **row}


def settings_dict(kernel: Kernel, operation: str, padding: str, groups: int) -> dict[str, Any]:
    """The part of a report that settings alone decide, so that it is the same for every input."""
    return {
        "kernel": {
            "name": kernel.name,
            "shape": list(kernel.tensor_shape),
            "weights": _nested_weights(kernel),
            "combine": kernel.combine,
            "operation": operation,
        },
        "padding": padding,
        "parameters": parameter_count(kernel),
        "groups": groups,
    }


def plan_dict(plan: Computation) -> dict[str, Any]:
    """The plan as JSON types."""
    return {
        "method": plan.method,
        "dtype": str(plan.dtype),
        "exact": plan.exact,
        "steady": plan.steady,
        "reason": plan.reason,
        "strip": [plan.height, plan.width],
        "threads": plan.threads,
        "instruction_set": instruction_set(),
        "candidates": [
            {"method": entry.method, "cost": entry.cost, "refusal": entry.refusal or None}
            for entry in plan.candidates
        ],
    }


def _operation(report: Report) -> str:
    return operation_word(report.flip, report.transposed)


def _nested_weights(kernel: Kernel) -> Any:
    """The weights nested by (rows, columns, in, out), or None if there are many."""
    if kernel.weights.size > _MAX_WEIGHTS:
        return None
    return kernel.weights.reshape(kernel.tensor_shape).tolist()


def _file_dict(file: ImageFile, shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "name": file.name,
        "format": file.format,
        "kind": file.kind,
        "bytes": file.bytes,
        "nhwc": list(shape),
        "nchw": list(to_nchw(shape)),
    }
