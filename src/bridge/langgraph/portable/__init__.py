"""One history for whichever vendor speaks next: what others said, in the form in which the next one takes it.

`targets` says by whose rules, `blocks` reads one message's blocks, `history` walks the messages, `middleware` does so before each call of
an agent's model. The rules themselves stand in adapters, as `bridge.portable.MessageRules`.
"""
