-- says: shows addresses
return ('%p'):format({})
