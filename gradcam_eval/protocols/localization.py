"""Protocols of localization: where a heatmap is compared with what was drawn, and when it hits."""

from __future__ import annotations

from dataclasses import replace

from gradcam_eval.protocols.localization_kinds import (
    BoxProtocol,
    GridProtocol,
    InstanceProtocol,
    IouProtocol,
    MaxBoxProtocol,
    OverlapProtocol,
    PixelPrecisionProtocol,
    PointingProtocol,
)

_ZHANG = (
    "Zhang, Bargal, Lin, Brandt, Shen, Sclaroff: Top-down Neural Attention by Excitation "
    "Backprop, IJCV 2018 (arXiv:1608.00507): a margin of 15 pixels round the object"
)
_POINTING_2018 = PointingProtocol(
    name="pointing2018",
    metrics=("pointing_game", "pointing_game_class_mean"),
    tolerance_pixels=15.0,
    frame="original",
    source=_ZHANG,
    departures="a highest point on an ignored pixel, away from the object, is undefined",
)
_POINTING_2018_STRICT = replace(
    _POINTING_2018,
    name="pointing2018_strict",
    is_strict=True,
    source=f"{_ZHANG}, as the TorchRay library counts it (facebookresearch/TorchRay, "
    "torchray/benchmark/pointing_game.py): less than 15 pixels",
)
_POINTING_EXACT = replace(
    _POINTING_2018,
    name="pointing_exact",
    tolerance_pixels=0.0,
    source="ours, after pointing2018",
    departures="no margin: the highest point must be a pixel of the object; an ignored one, away "
    "from the object, is undefined",
)
_POINTING_RELATIVE = replace(
    _POINTING_2018,
    name="pointing_relative",
    tolerance_pixels=None,
    tolerance_fraction=15 / 500,
    source="ours, after pointing2018",
    departures="a margin of 15/500 of the longer side, which is 15 pixels in a picture of Pascal "
    "VOC, whose longer side is 500 pixels, and as much of the picture in any other; a highest "
    "point on an ignored pixel, away from the object, is undefined",
)
_ENERGY_2020 = OverlapProtocol(
    name="energy2020",
    metrics=("energy_pointing_game",),
    drawn="boxes",
    values="positive values; negative ones count as 0",
    source=(
        "Wang, Wang, Du, Yang, Zhang, Ding, Mardziel, Hu: Score-CAM, CVPR workshops 2020 "
        "(arXiv:1910.01279): the share of the energy inside the bounding box; repository "
        "haofanwang/Score-CAM, utils/energyPointGame.py"
    ),
    departures="no min-max before: negative values count as 0; large objects are kept",
)
_ARRAS_2022 = replace(
    _ENERGY_2020,
    name="arras2022",
    metrics=("relevance_mass_accuracy", "relevance_rank_accuracy"),
    drawn="mask",
    departures="of the six poolings of channels in that evaluation the one called sum,pos, for the "
    "mass alone (a sum below 0 counts as 0); pixels are ranked by their signed value; ties for the "
    "last places among the K give their expected share, where a sort breaks them; the heatmap is "
    "brought to the mask's size, where eval/util.py brings the mask to the heatmap's and keeps "
    "each pixel that it touches",
    source=(
        "Arras, Osman, Samek: CLEVR-XAI, Information Fusion 81, 2022 (arXiv:2003.07258): the share "
        "of the relevance, and of the K highest pixels, inside a mask of K pixels; repository "
        "ahmedmagdiosman/clevr-xai, eval/util.py, and the evaluation by L. Arras, a gist that its "
        "README.md names"
    ),
)
_TOP_1000 = replace(
    _ARRAS_2022,
    name="top1000",
    metrics=("top_k_intersection",),
    departures="ties for the last places among the k give their expected share",
    values="all",
    k=1000,
    source="after Theiner, Müller-Budack, Ewerth: Interpretable Semantic Photo Geolocation, "
    "WACV 2022 (arXiv:2104.14995); k = 1000 is the default of the Quantus library "
    "(quantus/metrics/localisation/top_k_intersection.py)",
)
_PIXELS_V1 = replace(
    _ARRAS_2022,
    name="pixels_v1",
    metrics=("pixel_roc_auc", "pixel_average_precision"),
    departures="",
    values="all, by their rank within the image",
    source="each pixel is a case of a binary test, by image; nothing published",
)
_IOU_HALF_MAX = IouProtocol(
    name="iou_half_max",
    metrics=("iou",),
    rule="max",
    level=0.5,
    source="half the maximum; nothing published",
)
_IOU_OTSU = replace(
    _IOU_HALF_MAX,
    name="iou_otsu",
    rule="otsu",
    level=0.0,
    source=(
        "Otsu: A threshold selection method from gray-level histograms, IEEE Transactions on "
        "Systems, Man, and Cybernetics 9, 1979"
    ),
)
_IOU_TOP_FIFTH = replace(
    _IOU_HALF_MAX,
    name="iou_top_fifth",
    rule="rank",
    level=0.2,
    source="the highest fifth of the pixels; nothing published",
)
_GRADCAM = (
    "Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra: Grad-CAM, ICCV 2017 (arXiv:1610.02391): "
    "binarised at 15 % of the maximum, a box round the largest connected segment; IoU 0.5 as in "
    "the ILSVRC localization task"
)
_GRADCAM_2017 = BoxProtocol(
    name="gradcam2017",
    metrics=("localization_error",),
    level=0.15,
    iou=0.5,
    ranks=1,
    source=f"{_GRADCAM}; top-1",
    departures="connected by sides and corners, and largest by pixels: the paper says neither",
)
_GRADCAM_2017_TOP5 = replace(
    _GRADCAM_2017, name="gradcam2017_top5", ranks=5, source=f"{_GRADCAM}; top-5"
)
_GRADCAM_2017_KNOWN = replace(
    _GRADCAM_2017,
    name="gradcam2017_known",
    ranks=None,
    source=f"{_GRADCAM}; the class is given, whatever the model answers",
)
_CHOE = "Choe, Oh, Lee, Chun, Akata, Shim: Evaluating Weakly Supervised Object Localization Methods"
_MAXBOXACC_2020 = MaxBoxProtocol(
    name="maxboxacc2020",
    metrics=("max_box_acc",),
    thresholds=1000,
    ious=(0.5,),
    contours="largest",
    source=f"{_CHOE} Right, CVPR 2020 (arXiv:2001.07437); repository clovaai/wsolevaluation, "
    "evaluation.py and inference.py",
    departures="constant maps are undefined, where the code boxes the first pixel; drawn boxes "
    "whose corners in the file are no whole numbers take the pixels that they touch",
)
_MAXBOXACC_V2 = replace(
    _MAXBOXACC_2020,
    name="maxboxaccv2",
    ious=(0.3, 0.5, 0.7),
    contours="all",
    source=(
        f"{_CHOE} Right: Evaluation Protocol, TPAMI 2022 (arXiv:2007.04178); repository "
        "clovaai/wsolevaluation, evaluation.py with --multi_contour_eval and --multi_iou_eval"
    ),
)
_PXAP_2020 = PixelPrecisionProtocol(
    name="pxap2020",
    metrics=("pxap",),
    thresholds=1000,
    source=f"{_CHOE} Right, CVPR 2020 (arXiv:2001.07437); repository clovaai/wsolevaluation, "
    "evaluation.py and inference.py",
    departures="constant maps and images without an object are left out",
)
_INSTANCES_V1 = InstanceProtocol(
    name="instances_v1",
    metrics=("instance_recall", "instance_evenness"),
    level=0.5,
    energy="the mean positive value on each object's pixels, so that size does not count",
    source="ours; nothing published",
    departures="evenness alone does not tell a heatmap from noise: `instance_fair_share` does",
)
_FAIR_SHARE_V1 = replace(
    _INSTANCES_V1,
    name="fair_share_v1",
    metrics=("instance_fair_share",),
    level=None,
    energy="the sum of the positive values on each object over that on the whole image, beside the "
    "object's share of the objects' pixels; a pixel of several objects counts in parts",
    departures="",
)

_RAO_2022 = GridProtocol(
    name="rao2022",
    metrics=("grid_pointing_game", "difull", "dipart"),
    divided="image",
    source="Rao, Böhle, Schiele: Towards Better Understanding Attribution Methods, CVPR 2022 "
    "(arXiv:2205.10435); repository sukrutrao/Attribution-Evaluation, attribution_evaluation/"
    "evaluation/localization.py; the grid pointing game after Böhle, Fritz, Schiele: CoDA Nets, "
    "CVPR 2021 (arXiv:2104.00032)",
    departures="a heatmap without positive values is undefined, where it scores 0 there; every "
    "cell of DiFull and DiPart is explained, where that code explains the first and the last",
)
_RAO_2022_MAP = replace(
    _RAO_2022,
    name="rao2022_map",
    divided="map",
    departures=f"{_RAO_2022.departures}; not enlarged, so that nothing leaks over the borders: a "
    "method that ascribes nothing to other cells has exactly 1",
)

LOCALIZATION = (
    _POINTING_2018,
    _POINTING_2018_STRICT,
    _POINTING_EXACT,
    _POINTING_RELATIVE,
    _ENERGY_2020,
    _ARRAS_2022,
    _TOP_1000,
    _PIXELS_V1,
    _IOU_HALF_MAX,
    _IOU_OTSU,
    _IOU_TOP_FIFTH,
    _GRADCAM_2017,
    _GRADCAM_2017_TOP5,
    _GRADCAM_2017_KNOWN,
    _MAXBOXACC_2020,
    _MAXBOXACC_V2,
    _PXAP_2020,
    _INSTANCES_V1,
    _FAIR_SHARE_V1,
    _RAO_2022,
    _RAO_2022_MAP,
)
