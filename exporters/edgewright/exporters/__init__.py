"""From a torch model to a judged bundle: export, precisions, verdict, blame ladder."""
