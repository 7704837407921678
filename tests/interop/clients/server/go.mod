module kmipkit.test/server

go 1.24

require github.com/ovh/kmip-go v0.5.0
