"""Are the MACs of other people's architectures right? Those of timm and transformers, made from their definitions.

Each network is counted as it comes: fused attention, experts as a grouped product. The witness is another
implementation of the same network, with attention and experts written out (`set_fused_attn(False)`, `eager`), run on
data under torch's FlopCounterMode. Weights are random, nothing is downloaded; networks of transformers are small. Both
packages are no dependencies: `make bench-zoo` runs this in an environment that has them, as `zoo.txt` pins them.

    python studies/benchmarks/zoo.py [--only NAME ...]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from sidebyside import machine, table
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import archcost

PACKAGES: Final = ("timm", "transformers", "torchvision")
SIDE, TOKENS, VOCABULARY = 64, 16, 256

Inputs: TypeAlias = Mapping[str, Tensor]


class Network(NamedTuple):
    """A network of a package; make: it, as it comes or as the witness runs it, with what it is called with."""

    package: str
    name: str
    make: Callable[[bool], tuple[nn.Module, Inputs | Tensor]]


class Found(NamedTuple):
    """MACs by archcost and by the witness, and the operators that archcost left out."""

    ours: int
    theirs: int
    uncounted: tuple[str, ...]


TIMM: Final = """
    resnet18 resnext50_32x4d seresnet50 resnest14d res2net50_26w_4s dla34 densenet121 dpn68 vgg11_bn inception_v3
    xception41 nasnetalarge mobilenetv2_100 mobilenetv3_small_100 mobilenetv4_conv_small efficientnet_b0
    efficientnetv2_rw_t ghostnet_100 ghostnetv3_100 mnasnet_100 fbnetc_100 hardcorenas_a lcnet_050 tinynet_e regnetx_002
    regnety_002 convnext_atto convnextv2_atto convmixer_768_32 mixer_s32_224 gmlp_ti16_224 resmlp_12_224
    vit_tiny_patch16_224 deit_tiny_patch16_224 cait_xxs24_224 swin_tiny_patch4_window7_224 swinv2_tiny_window8_256
    pit_ti_224 levit_128s crossvit_tiny_240 coat_tiny coatnet_nano_rw_224 maxvit_tiny_tf_224 mvitv2_tiny
    xcit_nano_12_p16_224 tnt_s_patch16_224 visformer_tiny poolformer_s12 edgenext_xx_small mobilevit_xxs mobileone_s0
    repvgg_a0 fastvit_t8 efficientformer_l1 efficientformerv2_s0 efficientvit_b0 efficientvit_m0 repvit_m0_9 starnet_s1
    tiny_vit_5m_224 volo_d1_224 twins_pcpvt_small nest_tiny focalnet_tiny_srf davit_tiny hgnetv2_b0 hrnet_w18_small
    rexnet_100 cspresnet50 gernet_s vovnet39a eca_nfnet_l0 botnet26t_256 halonet26t lambda_resnet26t
    eva02_tiny_patch14_224 hiera_tiny_224 mambaout_femto inception_next_atto rdnet_tiny shvit_s1 swiftformer_xs
    fasternet_t0 gcvit_xxtiny
    """.split()

_SMALL: Final[Mapping[str, object]] = {
    **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": VOCABULARY},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0},
}
_IMAGE: Final = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
_BOTH: Final = {"d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "vocab_size": VOCABULARY} | {
    f"{part}_{key}": value
    for part in ("encoder", "decoder")
    for key, value in (("ffn_dim", 128), ("attention_heads", 4))
}
_T5: Final = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": VOCABULARY}

TEXTS: Final[Mapping[str, Mapping[str, object]]] = {
    **dict.fromkeys(
        """Llama Mistral Qwen2 Qwen3 Gemma Gemma2 Gemma3Text Phi Phi3 Olmo Olmo2 StableLm Starcoder2 Cohere Granite
        GPTNeoX Falcon Nemotron Glm Persimmon SmolLM3 Bert Roberta XLMRoberta Electra RoFormer MPNet Camembert ConvBert
        Ernie MegatronBert Data2VecText DebertaV2 Mixtral Qwen2Moe Qwen3Moe Olmoe GptOss MiniMax Phimoe
        GraniteMoe Albert""".split(),
        _SMALL,
    ),
    "Helium": {**_SMALL, "head_dim": 16},
    "DeepseekV3": {**_SMALL, "num_key_value_heads": 4, "n_routed_experts": 8, "n_group": 2, "topk_group": 1},
    "Mamba": {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": VOCABULARY},
    "GPT2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY},
    "GPTJ": {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY, "rotary_dim": 8},
    "Bloom": {"hidden_size": 64, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY},
    "OPT": {**_SMALL, "ffn_dim": 128, "word_embed_proj_dim": 64},
    "DistilBert": {"dim": 64, "hidden_dim": 128, "n_layers": 2, "n_heads": 4, "vocab_size": VOCABULARY},
}
PAIRS: Final[Mapping[str, Mapping[str, object]]] = {
    **{"T5": _T5, "SwitchTransformers": _T5, "Bart": _BOTH, "Marian": {**_BOTH, "pad_token_id": 0}, "MBart": _BOTH},
    "Pegasus": _BOTH,
}
IMAGES: Final[Mapping[str, Mapping[str, object]]] = {
    **{name: {**_IMAGE, "image_size": SIDE} for name in ("ViT", "Beit", "DeiT")},
    "Dinov2": {**_IMAGE, "image_size": SIDE, "patch_size": 16},
    "Swin": {"image_size": SIDE, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4},
    "ConvNext": {"hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 1, 1]},
    "ResNet": {"embedding_size": 16, "hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 1, 1]},
    **{"Segformer": {}, "MobileViT": {"image_size": SIDE}, "MobileNetV2": {"image_size": SIDE}},
}
"""Configurations by the name of their class, without `Config`; what is not given is the class's own."""


def from_timm(name: str, witness: bool) -> tuple[nn.Module, Inputs | Tensor]:
    """Return a network of timm's and an image of the size that it takes, (1, 3, H, W)."""
    import_module("timm.layers").set_fused_attn(not witness)
    net = import_module("timm").create_model(name, pretrained=False)
    return net, torch.randn(1, *net.default_cfg["input_size"])


def from_transformers(
    name: str, sizes: Mapping[str, object], inputs: Callable[[], Inputs], witness: bool
) -> tuple[nn.Module, Inputs | Tensor]:
    """Return a network of transformers' from its configuration, and its inputs."""
    package: Any = import_module("transformers")
    config = getattr(package, f"{name}Config")(**sizes)
    if witness:
        config._attn_implementation = config._experts_implementation = "eager"
    return package.AutoModel.from_config(config), inputs()


def text() -> Inputs:
    """Return one text, (1, T)."""
    return {"input_ids": torch.randint(1, VOCABULARY, (1, TOKENS))}


def pair() -> Inputs:
    """Return a text for an encoder and the beginning of one for its decoder."""
    return {**text(), "decoder_input_ids": torch.randint(1, VOCABULARY, (1, TOKENS // 2))}


def image() -> Inputs:
    """Return one image, (1, 3, H, W)."""
    return {"pixel_values": torch.randn(1, 3, SIDE, SIDE)}


def networks() -> Iterator[Network]:
    """Yield all networks, none of them made yet."""
    for name in TIMM:
        yield Network("timm", name, partial(from_timm, name))
    for inputs, configs in ((text, TEXTS), (pair, PAIRS), (image, IMAGES)):
        for name, sizes in configs.items():
            yield Network("transformers", name, partial(from_transformers, name, sizes, inputs))


def made(network: Network, *, witness: bool) -> tuple[nn.Module, Inputs | Tensor]:
    """Return a network in evaluation mode, with the same weights and inputs each time: experts are chosen by them."""
    torch.manual_seed(0)
    net, inputs = network.make(witness)
    return net.eval().requires_grad_(requires_grad=False), inputs


def found(network: Network) -> Found:
    """Return what both count of a network; raises what the package raises."""
    net, inputs = made(network, witness=True)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        net(inputs) if isinstance(inputs, Tensor) else net(**inputs)
    net, inputs = made(network, witness=False)
    cost = archcost.profile(net, inputs, latency=False, witness=False)
    return Found(cost.macs, counter.get_total_flops() // 2, tuple(str(each["op"]) for each in cost.uncounted))


def rows(asked: list[str]) -> Iterator[tuple[object, ...]]:
    """Yield a row for each network: its MACs by both, and whether they are equal and nothing was left out."""
    for network in networks():
        if asked and network.name not in asked:
            continue
        try:
            ours, theirs, uncounted = found(network)
        except Exception as error:  # whatever a package fails with is its result
            yield network.package, network.name, "", "", f"{type(error).__name__}: {str(error).splitlines()[0][:60]}"
            continue
        verdict = "equal" if ours == theirs else "**differs**"
        yield (
            network.package,
            network.name,
            f"{ours:,}",
            f"{theirs:,}",
            verdict + "".join(f", no {op}" for op in uncounted),
        )


def importable() -> bool:
    """Return whether the packages are here, and let torchvision be imported without its compiled operators.

    Its build is for another torch (with CUDA): the two operators whose shapes it registers are declared instead.
    """
    if any(find_spec(name) is None for name in PACKAGES):
        return False
    for name in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):  # they are there
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return True


def main() -> None:
    """Print a row for each network, and how many are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these networks alone")
    asked = parser.parse_args().only
    if not importable():
        print(f"Nothing was compared: `make bench-zoo` has {', '.join(PACKAGES)}, which are not all installed here.")
        return
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(machine(), *(f"{name} {metadata.version(name)}" for name in PACKAGES), sep="; ")
    print()
    every = list(rows(asked))
    print(table(("package", "network", "MACs, archcost", "MACs, witness", ""), every))
    print()
    for package in dict.fromkeys(row[0] for row in every):
        verdicts = [row[-1] for row in every if row[0] == package]
        print(f"{package}: {verdicts.count('equal')} of {len(verdicts)} equal, with nothing left out.")


if __name__ == "__main__":
    main()
