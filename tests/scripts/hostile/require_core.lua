-- says: module 'sak.core' is not available
return require 'sak.core'
