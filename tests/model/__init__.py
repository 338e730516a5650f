"""Small models of protocols, explored completely: every order of the steps of all who take part.

A step of a model is what the database does at once, one transaction in one place. Who takes part may stop for ever or
wake late between any two steps. What holds in all the states that can be reached is no proof for bigger scopes, but
the mistakes of such protocols show in small ones.
"""
