"""A user's script, which mypy checks with the package: every name has the type that is written here."""

import numpy as np
from numpy.typing import NDArray

import convcli


def use(x: NDArray[np.uint8]) -> None:
    """Use every function for images."""
    result = convcli.apply(x, "sobel-x", stride=(2, 1), padding="valid", map="signed", then=["relu"])
    maps: NDArray[np.float32] = result.maps
    names: list[str] = result.save("out/", force=True)
    low: float = result.report["range"]["low"]
    several = convcli.apply("p.png", ["box3", "sobel-x"])
    first: NDArray[np.uint8] = several[0].pixels
    network: NDArray[np.float32] = convcli.apply(x, model="net.onnx", until="conv1").maps
    shape: tuple[int, ...] = convcli.shape((8, 8), 3)
    text: str = str(convcli.explain(x, [[1, 2], [3, 4]], at=(0, 0)))
    exact: bool = convcli.plan((8, 8), "box3").exact
    drawing: str = convcli.figure(x, "box3", tile=64).svg
    page: str = convcli.explore(x, "box3").html
    count: int = len(convcli.animate("4x4", "box3"))
    convcli.plan((8, 8), "box3", strid=2)  # type: ignore[call-arg]
    print(maps, names, low, first, network, shape, text, exact, drawing, page, count)
