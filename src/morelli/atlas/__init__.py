"""The atlas: a collection seen through a few distilled dimensions.

After ASAP (arXiv 2404.02990): a distiller turns the encoder's embedding into a few dimensions whose signed
impacts add up to the logit; relevance says which pixels carry each; patterns recur over a collection and are
gathered into prototypes; cells lay the collection out at several levels. Importing this room loads no torch.
"""
