"""The rules by which a job moves: pure functions from a job and a fact to a job and what happened.

- `step`: the shape of an answer, and the rule applied after every fact: what must be done next.
- `wanting`: documents and commands.
- `creating`: intents and the outcomes of creates.
- `running`: what AWS shows of a remote job; stop, delete, loss.

Invariant: no clock, no chance, no I/O. Every change of phase goes through `Step.move`, so that none happens without its
event and none leaves a terminal phase except into `Deleted` or a new incarnation.
"""
