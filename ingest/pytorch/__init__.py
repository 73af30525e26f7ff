"""Reading PyTorch checkpoints without PyTorch, and without running anything of them.

`adapter_model.bin`, the weights of most adapters of 2023, is a zip archive with a pickle (`zip_directory`).
The pickle is interpreted by an allow-list (`unpickler`) and names tensors (`tensors`), whose bytes are read
by range (`strides`) and presented as a safetensors file (`converted_file`). Standard library only: the seeder
has no torch.
"""
