module mailroom/deploy/tools/probe

go 1.26.0
