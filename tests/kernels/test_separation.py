"""Kernels as sums of separable ones, against NumPy's singular value decomposition."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli import load_kernel
from convcli.core.errors import KernelError
from convcli.kernels.kernel import Kernel
from convcli.kernels.separation import separated


def total(separation) -> np.ndarray:
    """The sum of the terms as floats."""
    columns, rows = (
        [np.array(getattr(term, side), float) for term in separation.terms] for side in ("column", "row")
    )
    return sum(np.multiply.outer(column, row) for column, row in zip(columns, rows, strict=True))


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**20))
def test_the_error_is_the_least_possible(rows, columns, count, seed):
    """It is the norm of the singular values left out; the terms sum to the kernel that is written."""
    weights = np.random.default_rng(seed).normal(size=(rows, columns))
    separation = separated(Kernel(weights), count)
    left_out = np.linalg.svd(weights, compute_uv=False)[count:]
    expected = np.linalg.norm(left_out) / np.linalg.norm(weights)
    assert abs(separation.relative_error - expected) < 1e-12
    assert np.abs(total(separation) - separation.kernel.weights).max() < 1e-12
    difference = separation.kernel.weights - weights
    largest = 255 * max(difference[difference > 0].sum(), -difference[difference < 0].sum())
    assert abs(separation.largest_error - largest) < 1e-9


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_the_error_does_not_depend_on_the_scale(scale):
    """Weights whose squares leave the range of floats have the same relative error."""
    weights = load_kernel("log5").weights
    expected = separated(Kernel(weights), 1).relative_error
    assert abs(separated(Kernel(weights * scale), 1).relative_error - expected) < 1e-9


@given(st.integers(1, 3), st.integers(0, 2**20))
def test_sums_of_as_many_terms_as_the_rank_are_exact(rank, seed):
    """Kernels of fractions are reproduced in fractions."""
    random = np.random.default_rng(seed)
    weights = random.integers(-9, 10, (5, rank)) @ random.integers(-9, 10, (rank, 4))
    kernel = Kernel(weights, scale="1/7")
    separation = separated(kernel, 4)
    assert separation.is_exact
    assert separation.rank == max(np.linalg.matrix_rank(weights), 1)
    assert np.array_equal(separation.kernel.weights, kernel.weights)
    assert np.abs(total(separation) - kernel.weights).max() < 1e-12


def test_separable_kernels_keep_their_factors():
    """Rank 1 gives the exact column and row."""
    (term,) = separated(load_kernel("sobel-x"), 1).terms
    assert (term.column, term.row) == ((1, 2, 1), (-1, 0, 1))
    assert separated(load_kernel("gaussian:2"), 1).rank == 1
    assert separated(Kernel(np.zeros((3, 3))), 2).relative_error == 0


REFUSED = [("sobel", "weights of shape (3, 3, 1, 2)"), ("box:3x3x3", "only (rows, columns)")]


@pytest.mark.parametrize(("name", "message"), REFUSED)
def test_refused(name, message):
    """Banks and volumes have no column and row."""
    with pytest.raises(KernelError, match=message.replace("(", r"\(").replace(")", r"\)")):
        separated(load_kernel(name), 1)


def test_command(run, tmp_path):
    """The report as text and JSON, and the file of the approximated kernel, which convcli reads back."""
    out = tmp_path / "log.yaml"
    ran = run("kernels", "separate", "log5", "--rank", "2", "-o", out)
    assert ran.text.startswith("log5: 5×5, rank 3, approximated by 2 separable kernels\n")
    assert "0.5886% of the kernel (Frobenius norm); in a map up to 54.98 for pixels 0 … 255" in ran.text
    assert np.linalg.matrix_rank(load_kernel(str(out)).weights, 1e-12) == 2
    again = run("kernels", "separate", "log5", "-o", out)
    assert again.code == 2
    assert "--force" in again.err
    report = json.loads(run("kernels", "separate", "log5", "--rank", 9, "--report", "json").text)
    assert (report["rank"], report["exact"], len(report["terms"])) == (3, True, 3)
    assert "the sum is exact" in run("kernels", "separate", "sobel-x").text
    assert run("kernels", "separate", "log5", "--rank", "0").code == 2
    assert "give -o a file" in run("kernels", "separate", "log5", "-o", "-").err
    assert "unknown suffix" in run("kernels", "separate", "log5", "-o", tmp_path / "k.foo").err
