variable "name" {
  description = "Name of the installation, in the names of all that is made."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name: want 3 to 20 characters of a-z, 0-9 and -, a letter first."
  }
}

variable "region" {
  description = "Region of all but CloudFront."
  type        = string
  default     = "eu-central-1"
}

variable "tags" {
  description = "Tags of all that is made, besides Project, Environment and ManagedBy."
  type        = map(string)
  default     = {}
}

variable "domain" {
  description = "Host name of the shop. Its DNS is yours: point it at the output cdn_domain."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain: want a host name such as shop.example.com."
  }
}

variable "cdn_certificate_arn" {
  description = "Certificate of the domain for CloudFront, of ACM in us-east-1."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:us-east-1:[0-9]{12}:certificate/", var.cdn_certificate_arn))
    error_message = "cdn_certificate_arn: want an ACM certificate in us-east-1; CloudFront takes no other."
  }
}

variable "origin_certificate_arn" {
  description = "Certificate of the same domain for the load balancer, of ACM in the region."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.origin_certificate_arn))
    error_message = "origin_certificate_arn: want an ACM certificate."
  }
}

variable "cidr" {
  description = "Network of the VPC, a /16 to /20."
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "cidr: want an IPv4 network from /16 to /20, such as 10.20.0.0/16."
  }
}

variable "zones" {
  description = "Number of availability zones: 2 or 3."
  type        = number
  default     = 3

  validation {
    condition     = contains([2, 3], var.zones)
    error_message = "zones: want 2 or 3."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone. With one for all, the loss of its zone cuts the shop off from the payment provider."
  type        = bool
  default     = true
}

variable "kubernetes_version" {
  description = "Version of EKS."
  type        = string
  default     = "1.34"
}

variable "admin_arns" {
  description = "IAM roles that administer the cluster."
  type        = set(string)
  default     = []
}

variable "api_cidrs" {
  description = "Networks that reach the cluster's API from outside of the VPC; none: from inside alone."
  type        = list(string)
  default     = []

  validation {
    condition     = !contains(var.api_cidrs, "0.0.0.0/0")
    error_message = "api_cidrs: 0.0.0.0/0 is everybody; name your own networks."
  }
}

variable "nodes" {
  description = "The cluster's nodes: their type, of arm64, and how many."
  type = object({
    type = optional(string, "m7g.large")
    min  = optional(number, 3)
    max  = optional(number, 9)
    disk = optional(number, 40)
  })
  default = {}

  validation {
    condition     = can(regex("^[a-z]+[0-9]+g[a-z]*\\.", var.nodes.type))
    error_message = "nodes.type: want an arm64 type such as m7g.large; the images are of one architecture."
  }

  validation {
    condition     = var.nodes.min >= 2 && var.nodes.max >= var.nodes.min
    error_message = "nodes: want min of 2 or more, so that a node may be lost, and max no less."
  }
}

variable "databases" {
  description = "RDS instances by name, and whose databases are on each. One for all is the cheapest; a service with an instance of its own cannot be slowed by the others."
  type = map(object({
    services    = set(string)
    class       = optional(string, "db.t4g.medium")
    storage     = optional(number, 50)
    max_storage = optional(number, 500)
  }))
  default = {
    main = { services = ["catalog", "cart", "order", "payment", "notification", "insight"] }
  }

  validation {
    condition     = join(",", sort(flatten([for d in var.databases : tolist(d.services)]))) == "cart,catalog,insight,notification,order,payment"
    error_message = "databases: each of catalog, cart, order, payment, notification and insight has to be on one instance."
  }
}

variable "database_backup_days" {
  description = "For how many days RDS can restore to any second."
  type        = number
  default     = 14

  validation {
    condition     = var.database_backup_days >= 7 && var.database_backup_days <= 35
    error_message = "database_backup_days: want 7 to 35."
  }
}

variable "cache_node" {
  description = "Type of ElastiCache's nodes."
  type        = string
  default     = "cache.t4g.small"
}

variable "cache_password" {
  description = "Password of ElastiCache: 32 to 128 letters and digits. It is in Terraform's state until it is rotated; see README.md."
  type        = string
  sensitive   = true

  validation {
    condition     = can(regex("^[A-Za-z0-9]{32,128}$", var.cache_password))
    error_message = "cache_password: want 32 to 128 letters and digits."
  }
}

variable "protect" {
  description = "Databases, the load balancer and backups cannot be destroyed."
  type        = bool
  default     = true
}

variable "node_port" {
  description = "Port of the nodes at which the gateway is reached."
  type        = number
  default     = 30080

  validation {
    condition     = var.node_port >= 30000 && var.node_port <= 32767
    error_message = "node_port: want 30000 to 32767."
  }
}

variable "namespace" {
  description = "Kubernetes namespace of the shop."
  type        = string
  default     = "souk"
}

variable "image_tag" {
  description = "Tag of the shop's images in ECR."
  type        = string
}

variable "renderer" {
  description = "Have AWS Lambda draw pictures (docs/serverless.md): whether, the public key that `renderer key` prints, and how many at once."
  type = object({
    enabled     = optional(bool, false)
    public_key  = optional(string, "")
    concurrency = optional(number, 10)
  })
  default = {}

  validation {
    condition     = !var.renderer.enabled || can(regex("^[A-Za-z0-9+/]{43}=$", var.renderer.public_key))
    error_message = "renderer.public_key: want 32 bytes in base64, as `renderer key` prints them: without it everybody has the shop's host draw their words."
  }
}
