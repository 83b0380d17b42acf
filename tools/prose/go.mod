module github.com/baton-transfers/baton/tools/prose

go 1.26.0
