"""A ServiceTracker org on the Salesforce platform, as its REST interface shows it.

What is public of the platform (login, describe, queries, bulk jobs, errors, limits) is played as its vendor documents it. The product's own
objects are not public: they stand below a made-up namespace that can be chosen, so that nothing passes by knowing a real name.
"""
