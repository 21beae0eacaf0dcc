"""Makes export bundles of made-up Novo Work Order accounts: a small town's public works, with everything that is awkward about them."""
