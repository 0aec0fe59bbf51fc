"""The order in which pixels are visited: row by row, from left to right."""

import tensorflow as tf

from keras_genimg.sampling.bundle import Bundle


def visit_pixels(
    height,
    width,
    caches,
    begin_row,
    draw_pixel,
    end_row,
    num_more=0,
    num_examples=None,
    dtype=tf.float32,
):
    """Run two nested loops, over rows and over the pixels of a row.

    Args:
        height: Number of rows, an integer or a scalar tensor.
        width: Number of pixels in a row, likewise.
        caches: Structure of tensors that each row passes to the next, with the layers'
            results on finished rows. Shapes stay the same.
        begin_row: Function of `(r, caches)`. Returns the inputs of the pixels of row
            `r`, a list of lists of `(width, batch, n)` tensors; the structure of
            carries before the first pixel; and any structure for `end_row`.
        draw_pixel: Function of `(pixel, carries)`, where `pixel` is the list of lists
            at one pixel, tensors `(batch, n)`. Returns the result, a float32 tensor
            `(batch, n)`; a list of further float32 results, `(batch, n)` each; the
            carries for the next pixel; and a list of lists of tensors to keep for
            `end_row`.
        end_row: Function of `(caches, row, kept)`, where `row` is the last result of
            `begin_row` and `kept` holds the last results of `draw_pixel`,
            `(width, batch, n)` each. Returns the caches for the next row.
        num_more: Number of further results of `draw_pixel`.
        num_examples: Number of examples to keep of the further results, or None for
            all.
        dtype: Type in which tensors of any type are stored, float32 or float64.

    Returns:
        The results of all pixels, a float32 tensor `(height, width, batch, n)`, and a
        list of the further results, `(height, width, num_examples, n)` each.
    """
    layout = {}

    def visit_row(r, caches, rows):
        groups, carries, row = begin_row(r, caches)
        bundle = Bundle(groups, dtype)

        def visit_pixel(c, carries, kept):
            pixel = bundle.unpack(bundle.packed[c])
            result, more, carries_after, kept_here = draw_pixel(pixel, carries)
            layout["kept"] = packed = Bundle([[result, *more], *kept_here], dtype)
            after = _like(carries_after, carries)
            return c + 1, after, kept.write(c, packed.packed)

        _, _, kept = tf.while_loop(
            lambda c, *_: c < width,
            visit_pixel,
            (
                tf.constant(0),
                carries,
                tf.TensorArray(dtype, size=width, element_shape=(None, None)),
            ),
            maximum_iterations=width,
        )
        kept = kept.stack()
        kept.set_shape((*bundle.packed.shape[:2], layout["kept"].size))
        (result, *more), *kept = layout["kept"].unpack(kept)
        caches = _like(end_row(caches, row, kept), caches)
        results = [result, *(part[:, :num_examples] for part in more)]
        layout["shapes"] = [result.shape for result in results]
        return r + 1, caches, _written(rows, r, results)

    *_, rows = tf.while_loop(
        lambda r, *_: r < height,
        visit_row,
        (
            tf.constant(0),
            caches,
            [
                tf.TensorArray(tf.float32, height, element_shape=(None,) * 3)
                for _ in range(1 + num_more)
            ],
        ),
        maximum_iterations=height,
    )
    results = [row.stack() for row in rows]
    for result, shape in zip(results, layout["shapes"], strict=True):
        result.set_shape((None, *shape))
    return results[0], results[1:]


def _written(arrays, index, tensors):
    return [array.write(index, t) for array, t in zip(arrays, tensors, strict=True)]


def _like(tensors, templates):
    """Return tensors with the static shapes of a loop's variables."""

    def with_shape(tensor, template):
        tensor.set_shape(template.shape)
        return tensor

    return tf.nest.map_structure(with_shape, tensors, templates)
