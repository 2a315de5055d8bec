-- says: 'package' is not available
package.cpath = '/tmp/?.so' return require 'evil'
