"""Supervised contrast between images and texts: stage 1 of CLIP-ReID.

Shape suffixes: B images, E texts, D feature width; in one direction A anchors, E others.
"""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from reid_pipeline.losses._inputs import check_labelled, check_no_noise, check_temperature, no_autocast, upcast
from reid_pipeline.losses.host_labels import labels_on_host


def image_text_contrastive_loss(
    image_BD: Tensor,
    text_ED: Tensor,
    image_labels: Tensor,
    text_labels: Tensor,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
) -> Tensor:
    """Return the contrast of images with texts plus that of texts with images (i2t + t2i, not halved).

    Source: CLIP-ReID (arXiv 2211.13977, equations 1, 3 and 4), after supervised contrast (Khosla et al.,
    arXiv 2004.11362, equation 2). `one_way_contrastive_loss` is either direction, to report the two apart.

    CLIP-ReID gives one text per image, so an identity that has two images in the batch has two equal texts.
    One text per identity is as valid, but is another loss: the softmax then counts each identity once.

    Arguments and errors as for `one_way_contrastive_loss`, images as anchors; a scalar, 0 or more.
    Both sides hold the same identities.
    """
    one_way = partial(one_way_contrastive_loss, temperature=temperature, normalise=normalise)
    image_to_text = one_way(image_BD, text_ED, image_labels, text_labels)
    return image_to_text + one_way(text_ED, image_BD, text_labels, image_labels)


def one_way_contrastive_loss(
    anchor_AD: Tensor,
    other_ED: Tensor,
    anchor_labels: Tensor,
    other_labels: Tensor,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
) -> Tensor:
    """Return `-(1 / A) sum_a (1 / |P(a)|) sum_{p in P(a)} log softmax(s_a)_p`.

    `s_ae = anchor_a . other_e / temperature`, the softmax runs over all others, P(a) are the others with
    the label of a. The released code multiplies in half precision, where plain dot products are coarse.

    Args:
        anchor_AD: `[A, D]` floats.
        other_ED: `[E, D]` floats.
        anchor_labels: `[A]` integers from 0 on.
        other_labels: `[E]` integers from 0 on.
        temperature: above 0. 1 in the released code.
        normalise: L2-normalise both sides first. The released code takes plain dot products.

    Returns:
        a scalar, float32 (float64 for float64 features), 0 or more.

    Raises:
        ValueError: also where an anchor has no other of its label (which).
    """
    check_labelled(anchor_AD, anchor_labels, "features")
    check_labelled(other_ED, other_labels, "features")
    if anchor_AD.shape[1] != other_ED.shape[1]:
        raise ValueError(
            f"the two sides are {anchor_AD.shape[1]} and {other_ED.shape[1]} wide; both must be projected "
            "features of one model."
        )
    check_temperature(temperature)
    check_no_noise(anchor_labels, other_labels)
    positive_AE = anchor_labels[:, None] == other_labels[None, :]
    known_A = labels_on_host(anchor_labels)
    alone_A = ~torch.isin(known_A, labels_on_host(other_labels))
    if bool(alone_A.any()):
        labels = sorted(set(known_A[alone_A].tolist()))
        raise ValueError(
            f"{int(alone_A.sum())} of {len(alone_A)} anchors have nothing of their label on the other side "
            f"(labels {labels[:5]}); both sides must hold the same identities."
        )
    with no_autocast(anchor_AD):
        sides = upcast(anchor_AD), upcast(other_ED)
        left_AD, right_ED = (F.normalize(side, dim=1) for side in sides) if normalise else sides
        log_share_AE = F.log_softmax(left_AD @ right_ED.T / temperature, dim=1)
        sum_A = (log_share_AE * positive_AE).sum(dim=1)
        return -(sum_A / positive_AE.sum(dim=1)).mean()
