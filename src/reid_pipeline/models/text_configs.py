"""Which of open_clip's text towers can have learnt prompts, read from their configurations alone."""

from reid_pipeline.models.open_clip_lists import ModelConfig, configs

EXAMPLES = "ViT-B-16-quickgelu, PE-Core-B-16, EVA02-B-16, MobileCLIP2-S0, RN50-quickgelu"
"""Networks that serve, and whose tokenizers ship with open_clip: others need the package transformers."""


def fault_of_text(config: ModelConfig) -> str:
    """Return why embedded tokens cannot be fed to the text tower of a configuration, as a clause; empty if they can."""
    tower = config.get("text_cfg") or {}
    if not tower:
        return "is not there, since it was pretrained without texts"
    if language_model := tower.get("hf_model_name"):
        return f"is a language model of the package transformers ({language_model}), not open_clip's own"
    if tower.get("embed_cls") or "multimodal_cfg" in config:
        return "is read at a token of its own behind the padding (CoCa), which a prompt does not have"
    if tower.get("use_pad_mask"):
        return "hides padding from its tokens, and a prompt is fed as embedded tokens, of which it cannot tell"
    if (pooling := tower.get("pool_type", "argmax")) not in ("argmax", "eos", "last", "first"):
        return f"does not read a text at one token (pool_type {pooling!r})"
    return ""


def without_prompts(name: str, config: ModelConfig) -> str:
    """Return the message for a network whose text tower cannot have prompts: the reason, and which ones serve."""
    known = configs().values()
    serving = sum(not fault_of_text(each) for each in known)
    return (
        f"The text tower of {name!r} {fault_of_text(config)}: clip_reid and svll_reid, which learn prompts as embedded "
        f"tokens, cannot use it. {serving} of the {len(known)} networks serve, such as {EXAMPLES}: set `backbone` to "
        f"one of these, or train a method without text (baseline, pcl, unsupervised_pcl)."
    )
