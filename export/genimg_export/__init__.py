"""Commands: train, publish, verify and serve models, and generate images.

The modules `train`, `export_model`, `verify`, `serve`, `client`, `bulk.sample` and
`bulk.score` are the commands `genimg-train`, `genimg-export` and so on. They parse
their options before they import TensorFlow. Import `genimg_export.clients` to draw
images from your own code.
"""
