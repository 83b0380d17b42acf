module github.com/baton-transfers/baton/tools/release

go 1.26.0
