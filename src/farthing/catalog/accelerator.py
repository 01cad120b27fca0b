"""Accelerators by canonical name, and how they are recognized in instance names, SKUs and bill lines.

A canonical name is the model and its memory, such as ``H100-80GB``.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

Found = tuple[str, int]
"""A canonical accelerator name and how many of them."""

_MEMORY = re.compile(r"-(\d+)GB$")


def memory_gb(accelerator: str) -> Decimal:
    """Memory of one accelerator, from its canonical name; 0 when the name says none."""
    found = _MEMORY.search(accelerator)
    return Decimal(found[1]) if found else Decimal(0)


def accelerator_of(text: str) -> Found | None:
    """The accelerator, and the count, that an instance name, SKU or bill description speaks of.

    Instance names of AWS, Azure, Google and Oracle are looked up or decoded; in other text the model's
    own name decides, with the count from forms such as ``8x``, ``x8`` or ``8 GPUs`` (otherwise 1).
    ``None`` when nothing in it is an accelerator.
    """
    for pattern, read in _INSTANCES:
        found = pattern.search(text)
        if found and (result := read(found)) is not None:
            return result
    for pattern, name in _MODELS:
        if pattern.search(text):
            return name, _count(text)
    return None


_COUNTS = (
    re.compile(r"(?<![\w.])(\d{1,2})\s?[x×](?=[\s_-]|[A-Za-z])", re.IGNORECASE),
    re.compile(r"[x×*]\s?(\d{1,2})(?!\w)", re.IGNORECASE),
    re.compile(r"(?<![\w.])(\d{1,2})[\s-]+(?:gpus?|accelerators?)\b", re.IGNORECASE),
    re.compile(r"[_.-](\d{1,2})x(?=[_-]|\b)", re.IGNORECASE),
)


def _count(text: str) -> int:
    for pattern in _COUNTS:
        found = pattern.search(text)
        if found and int(found[1]):
            return int(found[1])
    return 1


def _sizes(spec: str, default: int = 1) -> Callable[[str], int]:
    table = {size: int(n) for size, n in (item.split(":") for item in spec.split())}
    return lambda size: table.get(size, default)


_SIXTEEN = _sizes("12xlarge:4 24xlarge:4 48xlarge:8")

_AWS: Mapping[str, tuple[str, Callable[[str], int]]] = {
    "p2": ("K80-12GB", _sizes("8xlarge:8 16xlarge:16")),
    "p3": ("V100-16GB", _sizes("8xlarge:4 16xlarge:8")),
    "p3dn": ("V100-32GB", _sizes("24xlarge:8")),
    "p4d": ("A100-40GB", _sizes("24xlarge:8")),
    "p4de": ("A100-80GB", _sizes("24xlarge:8")),
    "p5": ("H100-80GB", _sizes("48xlarge:8")),
    "p5e": ("H200-141GB", _sizes("48xlarge:8")),
    "p5en": ("H200-141GB", _sizes("48xlarge:8")),
    "p6-b200": ("B200-180GB", _sizes("48xlarge:8")),
    "p6-b300": ("B300-288GB", _sizes("48xlarge:8")),
    "p6e-gb200": ("GB200-186GB", _sizes("36xlarge:4")),
    "g2": ("K520-4GB", _sizes("8xlarge:4")),
    "g3": ("M60-8GB", _sizes("8xlarge:2 16xlarge:4")),
    "g3s": ("M60-8GB", _sizes("")),
    "g4dn": ("T4-16GB", _sizes("12xlarge:4 metal:8")),
    "g4ad": ("V520-8GB", _sizes("8xlarge:2 16xlarge:4")),
    "g5": ("A10G-24GB", _SIXTEEN),
    "g5g": ("T4G-16GB", _sizes("16xlarge:2 metal:2")),
    "g6": ("L4-24GB", _SIXTEEN),
    "gr6": ("L4-24GB", _sizes("")),
    "g6e": ("L40S-48GB", _SIXTEEN),
    "g7e": ("RTXPRO6000-96GB", _sizes("12xlarge:2 24xlarge:4 48xlarge:8")),
    "trn1": ("Trainium-32GB", _sizes("32xlarge:16")),
    "trn1n": ("Trainium-32GB", _sizes("32xlarge:16")),
    "trn2": ("Trainium2-96GB", _sizes("48xlarge:16")),
    "trn2u": ("Trainium2-96GB", _sizes("48xlarge:16")),
    "inf1": ("Inferentia-8GB", _sizes("6xlarge:4 24xlarge:16")),
    "inf2": ("Inferentia2-32GB", _sizes("24xlarge:6 48xlarge:12")),
    "dl1": ("Gaudi-32GB", _sizes("24xlarge:8")),
}
"""EC2 families and the accelerators of their sizes (aws.amazon.com/ec2/instance-types, 2026)."""

_AZURE: Mapping[str, tuple[str, int]] = {
    "nc_v2": ("P100-16GB", 6),
    "nc_v3": ("V100-16GB", 6),
    "nc_t4_v3": ("T4-16GB", 16),
    "nc_a100_v4": ("A100-80GB", 24),
    "nc_a10_v4": ("A10-24GB", 16),
    "nc_h100_v5": ("H100-94GB", 40),
    "nd": ("P40-24GB", 6),
    "nd_v2": ("V100-32GB", 5),
    "nd_v4": ("A100-40GB", 12),
    "nd_h100_v5": ("H100-80GB", 12),
    "nd_h200_v5": ("H200-141GB", 12),
    "nd_mi300x_v5": ("MI300X-192GB", 12),
    "nd_gb200_v6": ("GB200-186GB", 32),
    "nc": ("K80-12GB", 6),
    "nv": ("M60-8GB", 6),
    "nv_v2": ("M60-8GB", 6),
    "nv_v3": ("M60-8GB", 12),
    "nv_a10_v5": ("A10-24GB", 36),
}
"""Azure series and how many vCPUs come with one accelerator (learn.microsoft.com, GPU sizes, 2026)."""


def _aws(found: re.Match[str]) -> Found | None:
    family, size = found["family"].lower(), found["size"].lower()
    if family not in _AWS:
        return None
    name, count = _AWS[family]
    return name, count(size)


def _azure(found: re.Match[str]) -> Found | None:
    series, rest = found["series"].lower(), found["rest"].lower().replace(" ", "_")
    words = [w for w in rest.split("_") if re.fullmatch(r"t4|a100|a10|h100|h200|mi300x|gb200|v\d", w)]
    if words == ["a100", "v4"] and series == "nd":
        large = "m" in found["features"].lower()
        return "A100-80GB" if large else "A100-40GB", 8
    name, vcpus = _AZURE.get("_".join([series, *words]), ("", 0))
    return (name, max(1, -(-int(found["vcpus"]) // vcpus))) if name else None


_GCP = {
    "a2-highgpu": "A100-40GB",
    "a2-megagpu": "A100-40GB",
    "a2-ultragpu": "A100-80GB",
    "a3-highgpu": "H100-80GB",
    "a3-megagpu": "H100-80GB",
    "a3-edgegpu": "H100-80GB",
    "a3-ultragpu": "H200-141GB",
    "a4-highgpu": "B200-180GB",
    "a4x-highgpu": "GB200-186GB",
}
_G2 = {"24": 2, "48": 4, "96": 8}

_OCI = {
    "GPU2": ("P100-16GB", None),
    "GPU3": ("V100-16GB", None),
    "GPU4": ("A100-40GB", None),
    "GPU.A10": ("A10-24GB", None),
    "GPU.A100-v2": ("A100-80GB", None),
    "GPU.L40S": ("L40S-48GB", None),
    "GPU.H100": ("H100-80GB", None),
    "GPU.H200": ("H200-141GB", None),
    "GPU.B200": ("B200-180GB", None),
    "GPU.GB200": ("GB200-186GB", None),
    "GPU.MI300X": ("MI300X-192GB", None),
}


def _oci(found: re.Match[str]) -> Found | None:
    known = {k.lower(): v[0] for k, v in _OCI.items()}.get(found["model"].lower())
    return (known, int(found["count"])) if known else None


def _gcp(found: re.Match[str]) -> Found | None:
    name = _GCP.get(found["family"].lower())
    return (name, int(found["count"])) if name else None


def _g2(found: re.Match[str]) -> Found:
    return "L4-24GB", _G2.get(found["vcpus"], 1)


_INSTANCES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Found | None]], ...] = (
    (
        re.compile(
            r"\b(?P<family>(?:p|gr?|trn|inf|dl)\d\w*(?:-g?b\d{3})?)\.(?P<size>\d*xlarge|metal)\b", re.IGNORECASE
        ),
        _aws,
    ),
    (re.compile(r"\b(?P<family>a[234]x?-\w+gpu)-(?P<count>\d+)g\b", re.IGNORECASE), _gcp),
    (re.compile(r"\bg2-standard-(?P<vcpus>\d+)\b", re.IGNORECASE), _g2),
    (re.compile(r"\b(?:VM|BM)\.(?P<model>GPU(?:\d|\.[A-Z0-9]+(?:-v2)?))\.(?P<count>\d+)\b", re.IGNORECASE), _oci),
    (
        re.compile(
            r"\b(?:Standard_)?(?P<series>NC|ND|NV)C?(?P<vcpus>\d+)(?P<features>[a-z]*)(?P<rest>(?:[_ ][A-Za-z0-9]+)*)",
            re.IGNORECASE,
        ),
        _azure,
    ),
)

_MODELS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"\bGB300\b", "GB300-288GB"),
        (r"\bGB200\b", "GB200-186GB"),
        (r"\bGH200\b", "GH200-96GB"),
        (r"\bB300\b", "B300-288GB"),
        (r"\bB200\b", "B200-180GB"),
        (r"\bH200\b", "H200-141GB"),
        (r"\bH100[\s_-]*NVL\b", "H100-94GB"),
        (r"(?:\b|_)H100(?:\b|_)", "H100-80GB"),
        (r"(?:\b|_)A100\D{0,12}80\s?GB?", "A100-80GB"),
        (r"(?:\b|_)A100(?:\b|_)", "A100-40GB"),
        (r"\bMI355X\b", "MI355X-288GB"),
        (r"\bMI325X\b", "MI325X-256GB"),
        (r"\bMI300X\b", "MI300X-192GB"),
        (r"\bL40S\b", "L40S-48GB"),
        (r"\bL40\b", "L40-48GB"),
        (r"\b(?:NVIDIA|Tesla)[\s_-]+L4\b|\bL4[\s_-]+(?:GPU|24)|nvidia-l4\b", "L4-24GB"),
        (r"\bA10G\b", "A10G-24GB"),
        (r"(?:NVIDIA|GPU)[\w\s.-]*?(?:\b|_)A10(?:\b|_)", "A10-24GB"),
        (r"(?:\b|_)(?:RTX[\s_-]*)?A6000(?:\b|_)", "A6000-48GB"),
        (r"\bRTX[\s_-]*PRO[\s_-]*6000", "RTXPRO6000-96GB"),
        (r"\bRTX[\s_-]*5090\b", "RTX5090-32GB"),
        (r"\bRTX[\s_-]*4090\b", "RTX4090-24GB"),
        (r"\bRTX[\s_-]*3090\b", "RTX3090-24GB"),
        (r"(?:\b|_)V100\D{0,12}32\s?GB?", "V100-32GB"),
        (r"(?:\b|_)V100(?:\b|_)", "V100-16GB"),
        (r"\bP100\b", "P100-16GB"),
        (r"\b(?:NVIDIA|Tesla)[\s_-]+T4\b|\bT4[\s_-]+GPU|nvidia-tesla-t4\b|\+t4\b|\bgpu-t4\b", "T4-16GB"),
        (r"\bK80\b", "K80-12GB"),
        (r"\bTrainium[\s-]*2\b", "Trainium2-96GB"),
        (r"\bTrainium\b", "Trainium-32GB"),
        (r"\bInferentia[\s-]*2\b", "Inferentia2-32GB"),
        (r"\bTPU[\s_-]*v6e\b|\bTrillium\b", "TPUv6e-32GB"),
        (r"\bTPU[\s_-]*v5p\b", "TPUv5p-95GB"),
        (r"\bTPU[\s_-]*v5e\b", "TPUv5e-16GB"),
        (r"\bTPU[\s_-]*v4\b", "TPUv4-32GB"),
    )
)
"""Models by their own names, the more specific first. ``A100`` without a size is the 40 GB one, as first sold."""

__all__ = ["accelerator_of", "memory_gb"]
