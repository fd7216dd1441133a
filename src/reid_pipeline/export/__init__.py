"""A trained model as a file that runs without this project, and the proof that it is the model.

What goes into the network (`signatures`), the network with all that is around it (`graph`), its files (`files`,
`int8`), how they are run (`sessions`), what they are compared on (`proof_images`) and found to be (`proof`), and the
page of it (`card_page`). `exporting` puts these together. Numbers and files; onnx and onnxruntime are imported where
they are used, since they are an extra.
"""
