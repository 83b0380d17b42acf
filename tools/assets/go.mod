module github.com/baton-transfers/baton/tools/assets

go 1.26.0
