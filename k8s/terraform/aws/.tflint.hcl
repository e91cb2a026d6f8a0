# The rules of Terraform's language, which tflint has in itself. The ruleset for AWS is a plugin that
# is downloaded; name it here where it can be.
plugin "terraform" {
  enabled = true
  preset  = "all"
}
