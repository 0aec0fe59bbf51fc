"""The images of each shard, and the name of its file."""


def shard_range(num_images, num_shards, index):
    """Return the first image of a shard and the one after its last.

    Sizes differ by at most 1.

    Example:
        >>> [shard_range(10, 3, index) for index in range(3)]
        [(0, 3), (3, 6), (6, 10)]
    """
    return num_images * index // num_shards, num_images * (index + 1) // num_shards


def shard_path(stem, index, num_shards, ending=""):
    """Return the path of a shard, numbered as tensorflow-datasets does.

    Example:
        >>> shard_path("out/digits", 2, 16, ".npz")
        'out/digits-00002-of-00016.npz'
    """
    return f"{stem}-{index:05d}-of-{num_shards:05d}{ending}"
