"""Publish, verify and serve models, and draw images from a server.

Run the modules `export_model`, `verify`, `serve` and `client` with `python -m`. Import
`genimg_export.clients` to draw images from your own code.
"""
