"""The options that commands share: name, heading, help and type of each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import click

from convcli.cli.command import (
    COMPUTING,
    DRAWING,
    INPUT,
    MAIN,
    OUTPUT,
    PIECES,
    REPORTS,
    VALUES,
    WINDOW,
    option,
    together,
)
from convcli.cli.types import (
    Choice,
    KernelName,
    PaddingText,
    StageText,
    Value,
    integer,
    named_file,
    parse_axes,
    parse_bytes,
    parse_channel,
    parse_cluster,
    parse_count,
    parse_frames,
    parse_ignore,
    parse_mapping,
    parse_nodata,
    parse_normalization,
    parse_number,
    parse_output_padding,
    parse_place,
    parse_scale,
    sizes,
)
from convcli.cli.vocabulary import WORDS


def _listed(vocabulary: str, last: str = "or") -> str:
    """The words of a list as a sentence has them: ``a, b or c``."""
    *words, end = WORDS[vocabulary]
    return f"{', '.join(words)} {last} {end}"


_KERNEL: Final = "Preset, file, or numbers such as '1 2; 0 1'"
_KERNEL_DETAILS: Final = (
    "`convcli kernels list` shows the presets; `NAME@45` rotates one by 45°. `FILE:NAME` selects one kernel "
    "of a file with several, such as a layer of a model. Kernels can be computed from others: `box3*box3` "
    "(one after the other), `gaussian:1-gaussian:2`, `A+B`, `2*sobel-x`, `1/16*[1 2 1; 2 4 2; 1 2 1]`."
)
kernel = option("-k", "--kernel", heading=MAIN, type=KernelName(), required=True, help=_KERNEL,
                details=_KERNEL_DETAILS)  # fmt: skip


def _use_storage_options(ctx: click.Context, param: click.Parameter, text: str | None) -> None:
    """Use the options for every URL of this process; they are kept from everything that is printed."""
    if ctx.resilient_parsing or (text is None and "convcli.storage.options" not in sys.modules):
        return
    from convcli.storage.options import set_options  # only for URLs

    set_options(text)


def _kernels(required: bool) -> Callable[[Any], Any]:
    return option(
        "-k",
        "--kernel",
        "kernels",
        heading=MAIN,
        type=KernelName(),
        required=required,
        multiple=True,
        help=f"{_KERNEL}; repeatable",
        details=f"{_KERNEL_DETAILS} With several kernels, each image is decoded once.",
    )


kernels, kernels_or_model = _kernels(required=True), _kernels(required=False)
then = option(
    "--then",
    heading=MAIN,
    type=StageText(),
    multiple=True,
    help="Stage after the kernel, such as relu or maxpool2x2; repeatable",
    details="A stage is a kernel with `stride=`, `padding=`, `dilation=`, `groups=`, `flip=`, `bias=`, "
    "`transposed=yes` and `output-padding=` "
    "after commas; `maxpoolHxW` or `avgpoolHxW` with `stride=`, `padding=` and `ceil=`; or `relu`, `relu6`, "
    "`leaky-relu:A`, `clip:LOW,HIGH`, `abs`, `threshold:LOW[,HIGH]`, `sigmoid`, `tanh`. Nothing is rounded "
    "between stages.",
)
padding = option(
    "--padding",
    heading=MAIN,
    type=PaddingText(),
    default="same:reflect",
    show_default=True,
    help="AMOUNT[:FILL], e.g. valid or same:edge",
    details="AMOUNT is `valid`, `same`, `full`, N, ROWS,COLS or TOP,BOTTOM,LEFT,RIGHT. FILL is `zero`, a "
    "number, `edge`, `reflect`, `symmetric`, `wrap` or `ignore`.",
)
stride = option(
    "--stride",
    heading=MAIN,
    type=sizes("stride", 3),
    default="1",
    show_default=True,
    help="Step of the window, in pixels",
    details="For kernels of three axes, one or two numbers are for rows and columns, three for all axes.",
)
mapping = option(
    "--map",
    "mapping",
    heading=MAIN,
    type=Value("MAP", parse_mapping, "map"),
    default="auto",
    show_default=True,
    help="Values to pixels: clip, abs, signed, stretch or raw",
    details="Limits are pixel values or percentiles: `signed:99%`, `stretch:1%,99%`. The default depends "
    "on the weights: `clip` if they sum to 1, `signed` for 0, else `stretch`; `raw` keeps the values.",
)

dilation = option(
    "--dilation",
    heading=WINDOW,
    type=sizes("dilation", 3),
    default="1",
    show_default=True,
    help="Spacing between kernel elements",
    details="For kernels of three axes, as for --stride.",
)
flip = option(
    "--flip/--no-flip",
    heading=WINDOW,
    default=False,
    help="Rotate the kernel by 180° (mathematical convolution; layers do not)",
)
transposed = option(
    "--transposed",
    heading=WINDOW,
    is_flag=True,
    help="Transposed convolution, which enlarges by the stride",
    details="Every pixel adds the kernel, times its value, to the result, as in `ConvTranspose2d` of "
    "PyTorch and `Conv2DTranspose` of Keras. --padding removes pixels; the default is `same`, with which the "
    "result is stride times as large as the image.",
)
output_padding = option(
    "--output-padding",
    heading=WINDOW,
    type=Value("N|ROWS,COLS", parse_output_padding),
    help="With --transposed, pixels added at the bottom and right",
)
like = option(
    "--like",
    heading=WINDOW,
    type=Choice(WORDS["like"]),
    metavar="LIBRARY",
    help=f"Read --padding as {_listed('like')} does",
    details="The padding is interpreted as in that library: names, defaults, kernel direction, restrictions.",
)
layer = option(
    "--layer",
    heading=WINDOW,
    is_flag=True,
    help="Apply the whole layer: stride, padding, groups, bias, activation",
    details="The layer is the one of the model file that the weights come from, with its dilation and the "
    "batch normalization that follows it. Explicit options take precedence.",
)
activation = option(
    "--activation",
    heading=WINDOW,
    type=Choice(["layer", "none"]),
    default="layer",
    show_default=True,
    help="With none, --layer leaves out the activation",
)
combine = option(
    "--combine",
    heading=WINDOW,
    type=Choice(WORDS["combine"]),
    metavar="HOW",
    help=f"Combine maps: {_listed('combine')}",
    details="With `l2`, the root of the sum of squares; `l1`, the sum, and `linf`, the largest of the "
    "magnitudes; `argmax`, the index of the largest value; `angle`, the direction of the gradient in degrees "
    "from two maps: 0 where brightness increases to the right, 90 upward. With `stack`, the same as --stack.",
)
scale = option(
    "--scale",
    heading=WINDOW,
    type=Value("none|sum|abs|gain|N", parse_scale),
    default="none",
    show_default=True,
    help="Scale weights by N, or divide by sum, abs or gain",
    details="With `sum`, weights that sum to 0 stay as they are; `abs` is the sum of their magnitudes, "
    "`gain` is stated by the kernel.",
)
bias = option(
    "--bias",
    heading=WINDOW,
    type=Value("N", parse_number),
    help="Add N to every value, instead of the kernel's own bias",
)
model = option(
    "--model",
    heading=WINDOW,
    type=Value("FILE", files=True),
    help="Whole network instead of a kernel, such as net.onnx",
    details="`shape` also reads `.keras` and `.h5` files.",
)
until = option(
    "--until",
    heading=WINDOW,
    type=Value("NODE"),
    help="Node of --model whose feature maps are written",
    details="The name of a node, as `convcli shape SIZE --model FILE --report json` lists them, "
    "or of one of its outputs. "
    "The default is the network's output, if that has rows and columns.",
)
groups = option(
    "--groups",
    heading=WINDOW,
    type=integer(1, 65_536),
    default="1",
    show_default=True,
    help="Number of channel groups, as in grouped convolution",
)
kernel_path = option(
    "--kernel-path",
    heading=WINDOW,
    type=Value("FOLDER"),
    multiple=True,
    is_eager=True,
    help="Look up kernel names in FOLDER first; repeatable",
)

weights_order = option(
    "--weights-order",
    heading=WINDOW,
    type=Choice(["hwio", "oihw"]),
    is_eager=True,
    help="Axes of weights in .npy, .npz and .safetensors files",
    details="`hwio` is (rows, columns, in, out), as in Keras; `oihw` is (out, in, rows, columns), as in "
    "PyTorch. By default the shape tells, or the channels of the image; `FILE:oihw` is for one file.",
)

channels = option(
    "--channels",
    heading=VALUES,
    type=Choice(["each", "gray", "sum"]),
    help="Filter each channel (default), their brightness, or their sum",
    details="With `gray`, 0.299 R + 0.587 G + 0.114 B; with `sum`, all channels are added, as in a layer.",
)
alpha = option(
    "--alpha",
    heading=VALUES,
    type=Choice(["filter", "keep", "drop"]),
    help="Filter, keep or drop transparency",
    details="The default is `filter` for weights that sum to 1, and `keep` for others.",
)
ignore = option(
    "--ignore",
    heading=VALUES,
    type=Value("nan|VALUE|MASK[,keep]", parse_ignore, files=True),
    help="Leave out pixels that are NaN, VALUE, or black in the image MASK",
    details="The weights of the other pixels are renormalized, so gaps are filled from their neighbors; with "
    "`,keep`, gaps stay. NaN is always left out. Gray levels of MASK are weights from 0 to 1. Kernels must "
    "not have negative weights. A window without valid pixels gives NaN in floats, VALUE with --map clip, "
    "otherwise 0.",
)
nodata = option(
    "--nodata",
    heading=VALUES,
    type=Value("auto|N|none", parse_nodata),
    help="Leave out pixels with value N (default: the file's nodata value)",
    details="Results have the same value where the pixel at the center of the window has it; elsewhere the "
    "weights of the other pixels are renormalized. Kernels with negative weights, or whose weights sum to 0, "
    "give nodata wherever the window has any. Each channel is without data by itself, but an RGB pixel of "
    "unsigned integers only if all three colors have the value. NaN is left out too. With `none`, the value "
    "is filtered like any other.",
)
linear = option(
    "--linear",
    heading=VALUES,
    is_flag=True,
    help="Filter in linear light (sRGB is decoded first and re-encoded after)",
)
normalize = option(
    "--normalize",
    heading=VALUES,
    type=Value("MEAN/STD|imagenet|0..1|-1..1", parse_normalization),
    help="Normalize pixels as the network was trained, before the padding",
    details="A pixel becomes (value / white − MEAN) / STD, with one number each or one per channel, such as "
    "`0.5,0.4,0.4/0.25`; white is 255 for 8 bits. `0..1` only divides by white, and `imagenet` is the "
    "normalization of torchvision's models. Padding is added to the normalized image, and biases are in its "
    "units.",
)
depth = option(
    "--depth",
    heading=VALUES,
    type=Choice(["8", "16", "half", "float"]),
    help="Write 8 or 16 bits, or floats of 16 or 32 (default: as the input)",
    details="In floats, white is 1. By default, averages of half floats are half floats; other results may "
    "exceed their range and are single floats.",
)

frames = option(
    "--frames",
    heading=INPUT,
    type=Value("all|N|A:B", parse_frames),
    default="all",
    show_default=True,
    help="Frame or page N, or A up to B",
    details="Frames count from 0, negative ones from the end; B itself is excluded.",
)
frame = option(
    "--frame",
    heading=INPUT,
    type=integer(),
    default="0",
    show_default=True,
    help="Frame of an animation, or page, from 0",
)
max_pixels = option(
    "--max-pixels",
    heading=INPUT,
    type=Value("N", parse_count),
    help="Reject larger images before they are decoded (default: about 1e9)",
    details="The limit is for all frames combined. The default is lower for small files and higher for dense "
    "ones.",
)

storage = option(
    "--storage-options",
    heading=INPUT,
    type=Value("JSON"),
    expose_value=False,
    callback=_use_storage_options,
    help="Options for URLs, as fsspec and s3fs take them",
    details='An object such as `{"anon": true}`, or one for each protocol: `{"s3": {"anon": true}}`. '
    "Credentials are found as by the tools of the provider: environment, profile or role.",
)
format_name = option(
    "--format",
    "format_name",
    heading=OUTPUT,
    type=Value("NAME", vocabulary="format"),
    help="Format of results, such as png, tiff, npy or zarr",
    details=f"One of {_listed('format')}.",
)
force = option("-f", "--force", heading=OUTPUT, is_flag=True, help="Replace existing files")
stack = option(
    "--stack",
    heading=OUTPUT,
    is_flag=True,
    help="Write all maps to one file: pages of a .tif, or channels of an .npy",
    details="An .npy has the shape (frames, rows, columns, maps).",
)
quality = option(
    "--quality",
    heading=OUTPUT,
    type=integer(1, 100),
    help="JPEG quality (default: 95); also makes other formats lossy",
    details="WebP, AVIF, HEIC and JPEG XL are lossless without it.",
)
png = option(
    "--png",
    heading=OUTPUT,
    type=Choice(["fast", "small"]),
    default="fast",
    show_default=True,
    help="Encode PNG fast, or 5–30% smaller and 10× slower",
)
strip = option(
    "--strip",
    heading=OUTPUT,
    is_flag=True,
    help="Drop metadata: color profile, Exif, XMP, resolution, text",
)

colormap = option(
    "--colormap",
    heading=DRAWING,
    type=Choice(WORDS["colormap"]),
    metavar="NAME",
    default="gray",
    show_default=True,
    help=f"Colors of maps: {_listed('colormap')}",
    details="Maps of one channel are colored; of color images, the brightness. The middle of `diverging` is "
    "zero: blue below, red above. `wheel` shows the direction of a gradient as hue (red is 0°, to the right) "
    "and its magnitude as brightness; it needs two maps, such as those of sobel.",
)
sheet = option(
    "--sheet",
    heading=DRAWING,
    is_flag=True,
    help="Draw all maps on one labeled sheet, an image or .svg",
    details="Each map has its kernel and a color bar.",
)
figure = option(
    "--figure",
    heading=DRAWING,
    is_flag=True,
    help="Draw input, kernels and maps side by side, an image or .svg",
    details="A figure has axes, sizes and value ranges. For a chain, it shows every stage.",
)
value_range = option(
    "--range",
    "value_range",
    heading=DRAWING,
    type=Choice(["each", "common"]),
    default="each",
    show_default=True,
    help="Value range of drawn maps: per map, or shared",
)
tile = option(
    "--tile",
    heading=DRAWING,
    type=integer(16, 8192),
    default="256",
    show_default=True,
    help="Longer side of a drawn map, in pixels",
    details="Larger maps show the mean of each box, signed ones the value farthest from zero; the pixels of "
    "smaller maps are enlarged.",
)

method = option(
    "--method",
    heading=COMPUTING,
    type=Choice(WORDS["method"]),
    metavar="NAME",
    default="auto",
    show_default=True,
    help="Method that computes the sums; plan lists them",
    details=f"One of {_listed('method')}; exact results do not depend on it.",
)
steady = option(
    "--steady",
    heading=COMPUTING,
    is_flag=True,
    help="Use only methods whose rounding does not depend on position",
    details="Then an image and every part of it give the same bytes, also where sums are not exact.",
)
precision = option(
    "--precision",
    heading=COMPUTING,
    type=Choice(["single", "double"]),
    default="single",
    show_default=True,
    help="Floating-point precision for non-rational kernels",
    details="Exact results do not depend on it.",
)
threads = option(
    "--threads",
    heading=COMPUTING,
    type=integer(1, 1024),
    help="Number of threads (default: one per CPU)",
)
max_memory = option(
    "--max-memory",
    heading=COMPUTING,
    type=Value("BYTES", parse_bytes),
    help="Memory limit, e.g. 2G (default: half of RAM)",
)

cluster = option(
    "--cluster",
    heading=PIECES,
    type=Value("ADDRESS", parse_cluster),
    help="Dask cluster: tcp://HOST:PORT, tls://…, local[:N], file:JSON, env",
    details="`local:4` starts four worker processes on this machine, `file:` names a scheduler file, and "
    "`env` takes DASK_SCHEDULER_ADDRESS. Without it, an image is filtered in pieces by this process.",
)
resume_job = option(
    "--resume", "resume_job", heading=PIECES, is_flag=True, help="Continue an unfinished result"
)
job_file = option(
    "--job",
    "job_file",
    heading=PIECES,
    type=Value("FILE", named_file, files=True),
    help="Only write the job; `convcli piece FILE I/N` runs a share of it",
)
piece_size = option(
    "--piece",
    "piece_size",
    heading=PIECES,
    type=sizes("piece"),
    help="Size of a piece (default: by memory and number of workers)",
)
chunk = option(
    "--chunk", heading=PIECES, type=sizes("chunk"),
    help="Chunk size of a Zarr result (default: the source's, or 1024)",
)  # fmt: skip
shard = option(
    "--shard", heading=PIECES, type=sizes("shard"),
    help="Shard size of a Zarr result (default: the source's, or no shards)",
)  # fmt: skip
pyramid = option(
    "--pyramid", heading=PIECES, is_flag=True, help="Add smaller versions to an OME-Zarr result (.ome.zarr)"
)
worker_memory = option(
    "--memory",
    "worker_memory",
    heading=PIECES,
    type=Value("BYTES", parse_bytes),
    help="Memory of a worker for its piece, e.g. 1GiB (default: its limit)",
)
axes = option(
    "--axes",
    heading=INPUT,
    type=Value("AXES", parse_axes),
    help="Part of a Zarr array (c=0,z=3..9) or of an EXR image (c=diffuse)",
)
hdu = option(
    "--hdu",
    heading=INPUT,
    metavar="NAME",
    help="HDU of a FITS file, by number or name (default: first image)",
)
level = option(
    "--level",
    heading=INPUT,
    type=integer(0, 63),
    default=0,
    show_default=True,
    help="Level of an image pyramid; 0 is the full resolution",
)

report = option(
    "--report",
    heading=REPORTS,
    type=Choice(["text", "line", "json", "csv", "none"]),
    metavar="FORM",
    help="Report format: text, line, json, csv or none",
    details="The default is `text` for one image, and `line` (one per kernel) for several; `json` is a line "
    "per map.",
)
report_file = option(
    "--report-file",
    heading=REPORTS,
    type=Value("FILE", named_file, files=True),
    help="Write the report to FILE; .json and .csv choose the format",
)
verbose = option("-v", "--verbose", heading=REPORTS, is_flag=True, help="Report every candidate of the plan")
quiet = option("-q", "--quiet", heading=REPORTS, is_flag=True, help="Print only errors, no report")
text_or_json = option(
    "--report",
    heading=REPORTS,
    type=Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Report form",
)

place = option(
    "--at",
    heading=MAIN,
    type=Value("ROW,COL", parse_place),
    required=True,
    help="Pixel of the feature map, from 0",
)

show_map = option(
    "--show-map",
    "maps",
    heading=MAIN,
    type=Value("all|N|A:B", parse_frames),
    multiple=True,
    help="Feature map N, or A up to B, of a bank; repeatable",
    details="Maps count from 0, negative ones from the end; B itself is excluded.",
)
show_channel = option(
    "--show-channel",
    "shown_channels",
    heading=MAIN,
    type=Value("all|NAME|N|A:B", parse_channel),
    multiple=True,
    help="Channel by name (red) or number; repeatable",
    details="Channels are named as in the report: `gray`, `red`, `green`, `blue`, `alpha`. Numbers count the "
    "channels of the image from 0.",
)

window = together(stride, padding, dilation, flip, like)
transposing = together(transposed, output_padding)
weights = together(layer, activation, combine, scale, bias)
colors = together(alpha, ignore, nodata, linear, normalize, depth)
coding = together(quality, png)
drawing = together(colormap, sheet, figure, value_range, tile)
reports = together(report, report_file, verbose, quiet)
pieces = together(cluster, resume_job, job_file, piece_size, chunk, shard, pyramid, worker_memory)
