module github.com/baton-transfers/baton/tools/layout

go 1.26.0
