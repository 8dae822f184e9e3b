"""The packaged body classifies real photos, and fastai cuts it where it should."""

import matplotlib.cbook
import pytest
import timm
import torch
from fastai.vision.all import (
    ImageDataLoaders,
    PILImage,
    Resize,
    create_head,
    error_rate,
    get_image_files,
    tensor,
    vision_learner,
)
from torch import nn

from utils.models import GENERAL, efficientnet_lite0, late_split, packaged_weights
from utils.paths import DATA, ROOT

DOGS, CATS = range(151, 269), range(281, 286)  # ImageNet's domestic breeds
MILITARY_UNIFORM = 652  # what Grace Hopper wears in matplotlib's sample photo
PHOTOS = ROOT.parent / "shared" / "data" / "oxford-iiit-pet.tgz"


def imagenet_probabilities(pictures) -> torch.Tensor:
    """(n, 1000) probabilities for pictures, each squeezed to 224 pixels as the body expects."""
    batch = torch.stack([tensor(Resize(224)(p)).permute(2, 0, 1) / 127.5 - 1 for p in pictures])
    with torch.no_grad():
        return efficientnet_lite0().eval()(batch.float()).softmax(1)


def test_it_knows_a_photo_without_any_training():
    photo = PILImage.create(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    best = imagenet_probabilities([photo])[0].argsort(descending=True)[:3]
    assert MILITARY_UNIFORM in best


def test_it_knows_cats_from_dogs_on_real_photos(tmp_path):
    if not PHOTOS.exists():
        pytest.skip("needs the real photos of ../shared/data")
    import tarfile

    with tarfile.open(PHOTOS) as archive:
        archive.extractall(tmp_path, filter="data")
    files = get_image_files(tmp_path).sorted()[::3]
    probabilities = imagenet_probabilities([PILImage.create(f) for f in files])
    cat_like = probabilities[:, CATS].sum(1) > probabilities[:, DOGS].sum(1)
    right = (cat_like == torch.tensor([f.name[0].isupper() for f in files])).float().mean()
    assert right >= 0.85


def test_random_parameters_know_nothing():
    torch.manual_seed(0)
    one, other = efficientnet_lite0(pretrained=False), efficientnet_lite0(pretrained=False)
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


@pytest.fixture(scope="module")
def learn():
    files = get_image_files(DATA / "pets" / "images").sorted()[::40]
    dls = ImageDataLoaders.from_name_func(
        DATA, files, label_func=lambda n: n[0].isupper(), item_tfms=Resize(64), bs=4
    )
    return vision_learner(dls, efficientnet_lite0, metrics=error_rate)


def test_vision_learner_splits_body_and_head(learn):
    body, head = learn.model
    assert not any(isinstance(m, nn.Linear) for m in body.modules())
    assert [m.out_features for m in head.modules() if isinstance(m, nn.Linear)][-1] == 2
    assert body(torch.zeros(1, 3, 64, 64)).shape == (1, 1280, 2, 2)


def test_the_body_is_frozen_and_the_head_is_not(learn):
    learn.freeze()
    body, head = learn.model
    assert all(p.requires_grad for p in head.parameters())
    assert not any(p.requires_grad for p in body.parameters() if p.ndim == 4)
    learn.unfreeze()
    assert all(p.requires_grad for p in [*body[GENERAL:].parameters(), *head.parameters()])
    assert not any(p.requires_grad for p in body[:GENERAL].parameters()), "general: they stay"


def test_without_pretraining_and_cut_short_it_is_trained_whole(learn):
    whole = vision_learner(learn.dls, efficientnet_lite0, pretrained=False)
    whole.fit(1)
    assert all(p.requires_grad for p in whole.model.parameters())
    short = nn.Sequential(efficientnet_lite0()[:7], create_head(112, 2))
    groups = late_split(short)
    assert len(groups[0]) == len(list(short[0].parameters()))


def test_folding_batch_norm_changes_no_answer():
    torch.manual_seed(0)
    x, reference = torch.rand(2, 3, 96, 96) * 2 - 1, timm.create_model("tf_efficientnet_lite0")
    reference.load_state_dict(packaged_weights(reference))
    with torch.no_grad():
        expected, ours = reference.eval()(x), efficientnet_lite0().eval()(x)
    torch.testing.assert_close(ours, expected, atol=1e-3, rtol=1e-3)


def test_pictures_are_normalised_as_the_weights_expect(learn):
    (normalize,) = [t for t in learn.dls.after_batch.fs if type(t).__name__ == "Normalize"]
    assert normalize.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    assert normalize.std.flatten().tolist() == [0.5, 0.5, 0.5]
