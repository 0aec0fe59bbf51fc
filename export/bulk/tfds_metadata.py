"""The files that make shards a data set of tensorflow-datasets."""

import os

import numpy as np

from ..quiet_start import import_tensorflow
from .errors import BulkError


def write_metadata(job):
    """Describe the shards of a `SampleJob`; return how to read them.

    Raises:
        BulkError: If the folder holds another data set, or tensorflow-datasets is
            missing.
    """
    import_tensorflow()
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise BulkError(
            f"{error}. All shards are written; install tensorflow-datasets, and the "
            f"same command describes them"
        ) from None
    folder, name = os.path.split(job.prefix)
    features = {
        "image": tfds.features.Image(
            shape=job.model.image_shape, encoding_format="png"
        ),
        "seed": tfds.features.Scalar(np.int64),
    }
    if job.labels is not None:
        highest = job.model.inputs["label"]["high"]
        features["label"] = tfds.features.ClassLabel(num_classes=highest + 1)
    split = tfds.core.SplitInfo(
        name="train",
        shard_lengths=[job.size(index) for index in range(job.num_shards)],
        num_bytes=sum(os.path.getsize(job.path(i)) for i in range(job.num_shards)),
        filename_template=tfds.core.ShardedFileTemplate(
            data_dir=folder,
            dataset_name=name,
            split="train",
            filetype_suffix="tfrecord",
        ),
    )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=tfds.features.FeaturesDict(features),
        split_infos=[split],
        description=f"Images of seeds {job.first_seed} to "
        f"{job.first_seed + job.num_images - 1}.",
    )
    return f"Read them with tfds.builder_from_directory({folder!r})."
