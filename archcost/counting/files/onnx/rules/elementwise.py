"""Elementwise work of ONNX's operators, and those that only move values.

As everywhere: a norm is 2 an output, an activation 1, a join of n values n - 1, a pool of k values k - 1 and one more
for an average,
a reduction one for each of its inputs, a bias 1. A quantisation, or its reverse, is 1 a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Final

from archcost.counting.files.onnx.rules.products import Rule, heads
from archcost.counting.files.onnx.rules.steps import Step


def per_output(times: int) -> Rule:
    """Return the rule of so many operations for each value of the first result."""
    return lambda step: times * step.out.count


def _per_input(step: Step) -> int:
    return step.input(0).count


def _join(extra: int) -> Rule:
    return lambda step: (len(step.inputs) - 1 + extra) * step.out.count


def _pool(extra: int) -> Rule:
    return lambda step: (prod(step.numbers("kernel_shape")) - 1 + extra) * step.out.count


def _root_pool(step: Step) -> int:
    """LpPool: a power of each, their sum, a root."""
    return 2 * prod(step.numbers("kernel_shape")) * step.out.count


def bias(place: int) -> Rule:
    """Return the rule of a bias that is an input, or left out."""
    return lambda step: step.out.count if step.has(place) else 0


def _recurrent(gates: int, others: int) -> Rule:
    """(x, W (directions, gates * H, I), R, B, ...): `others` a value of the state and step beside sums and biases."""

    def rule(step: Step) -> int:
        directions, rows = step.shape(1)[0], step.shape(2)[-1]
        each = gates * (3 if step.has(3) else 1) + others
        return prod(step.shape(0)[:2]) * directions * rows * each

    return rule


def _scores(step: Step) -> int:
    count, queries, keys, _, _ = heads(step)
    return count * queries * keys


def _response(step: Step) -> int:
    """LRN: a square, the sum of so many, a power, a quotient."""
    return (step.number("size", 1) + 2) * step.out.count


_ONCE: Final = """Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil
    Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Hardmax IsInf
    IsNaN LeakyRelu Less LessOrEqual Log LogSoftmax Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink
    Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Sub Swish Tan Tanh ThresholdedRelu Where Xor QuantizeLinear
    DequantizeLinear BlackmanWindow HammingWindow HannWindow MelWeightMatrix"""
_NORMS: Final = """BatchNormalization InstanceNormalization GroupNormalization LayerNormalization LpNormalization
    MeanVarianceNormalization RMSNormalization"""
_REDUCTIONS: Final = """ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare ArgMax ArgMin CumSum CumProd GlobalAveragePool GlobalLpPool GlobalMaxPool
    NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss"""

ELEMENTWISE: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(_ONCE.split(), per_output(1)),
    **dict.fromkeys(_NORMS.split(), per_output(2)),
    **dict.fromkeys(_REDUCTIONS.split(), _per_input),
    **dict.fromkeys(("Sum", "Max", "Min"), _join(0)),
    "Mean": _join(1),
    "MaxPool": _pool(0),
    "MaxRoiPool": _per_input,
    "AveragePool": _pool(1),
    "LpPool": _root_pool,
    "LRN": _response,
    "DynamicQuantizeLinear": lambda step: 3 * step.input(0).count,  # the least, the greatest, and each value
    "SwiGLU": per_output(3),
    "RotaryEmbedding": per_output(3),  # two products and a sum
    "Conv": bias(2),
    "ConvTranspose": bias(2),
    "DeformConv": bias(3),
    "CausalConvWithState": bias(2),
    "QLinearConv": bias(8),
    "Gemm": bias(2),
    "RNN": _recurrent(1, 1),
    "GRU": _recurrent(3, 7),  # three activations, the reset, and (1 - z) n + z h
    "LSTM": _recurrent(4, 9),  # five activations, three products and a sum
    "Attention": _scores,
    "Scaler": per_output(2),
    "Normalizer": per_output(2),
    "Binarizer": per_output(1),
    **dict.fromkeys(("Adagrad", "Adam", "Momentum"), per_output(4)),
}

MOVES: Final = frozenset(
    """ArrayFeatureExtractor Bernoulli BitCast Cast CastLike CastMap CategoryMapper CenterCropPad Col2Im Compress Concat
    ConcatFromSequence Constant ConstantOfShape DepthToSpace DictVectorizer Dropout Expand EyeLike FeatureVectorizer
    Flatten Gather GatherElements GatherND GridSample Identity Imputer LabelEncoder MaxUnpool Multinomial
    NonMaxSuppression NonZero OneHot OneHotEncoder Optional OptionalGetElement OptionalHasElement Pad RandomNormal
    RandomNormalLike RandomUniform RandomUniformLike Range RegexFullMatch Reshape Resize ReverseSequence RoiAlign
    Scatter ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
    SequenceLength Shape Size Slice SpaceToDepth Split SplitToSequence Squeeze StringConcat StringNormalizer
    StringSplit TensorScatter TfIdfVectorizer Tile TopK Transpose TreeEnsemble TreeEnsembleClassifier
    TreeEnsembleRegressor Trilu Unique Unsqueeze Upsample ZipMap""".split()
)
"""Operators that move, make or choose values, or interpolate them: nothing is multiplied by a matrix."""

VIEWS: Final = frozenset("Identity Reshape Flatten Squeeze Unsqueeze Dropout Optional OptionalGetElement".split())
"""Operators whose result may be their first input's storage: it takes no room of its own."""

LOOKUPS: Final = frozenset("Gather GatherND GatherElements ArrayFeatureExtractor".split())
"""Operators that read of their first input only what they return."""
