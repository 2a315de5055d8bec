--- The one schema: every kind of specification, its settings with type, default and meaning.
--- Validation, defaults, help and editor annotations all come from here; a new setting is one line
--- in the part that it belongs to. The parts are listed as help lists them.

require "sak.schema.encoders"
require "sak.schema.data"
require "sak.schema.student"
require "sak.schema.training"
require "sak.schema.experiment"
require "sak.schema.sweep"

return require("sak.schema.families").schema
