"""The vCenter role: key providers, hosts and machines, and who may do what with them."""
