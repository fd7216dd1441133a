"""Training in several processes: what they are handed, who starts and watches them, and what each of them runs.

Kedro runs once, in the head. A node hands a training over as files in a scratch folder (`handover`), starts a launcher
such as torchrun (`launch`), and passes on what the first process stores after every epoch (docs/several_processes.md).
"""
