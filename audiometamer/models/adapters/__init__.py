"""Networks from elsewhere as models: image networks by name, speech models, several models as one."""
