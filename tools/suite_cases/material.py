"""An RSA key pair and a certificate that cases register. They were made for this suite, and protect nothing."""

from base64 import b64decode

PRIVATE_KEY = b64decode(
    "MIIEogIBAAKCAQEAu8FwylGeT4IZqsSGjoyYMyznAtP/Jrh1s184EC35z0nCr3cWPFAOw3LaXJlWRDemcV/my8zJWej7"
    "R0t+AqUSZdx0klP8X9Ugos2jEByhkKleZwVb55y3xIc358pO7N9x7KjkgY+kJVPXKmtzkiKKrOgXrBPloStn7mtI2I+I"
    "fc41pEKzZj+HkAUSac5SPovjNJBJOOa5SGEdxVFzbeFbtDBVZT4IrbP549avCoXZAxYrKg6UTmQ+ldWhsOvHynIFhqCn"
    "22N5ttSizhHqIQNUg5g80cbJqZPdYOtJovN2blilCL7ZgnIdFysZ3gY+yCAbUg/GmEEZZsFVllf1tBa9+wIDAQABAoIB"
    "AAEGcDJimgiEGitxBu0N/ndqZi6BRXzgIqBimOCZvP9GlKi27+j6D5fomiGe+AtyTwHXzLT4fsbzZd/V8oUFgra0qpxG"
    "l3OsgGZIf3yYiMH3SBvW5HwSF9Ibt5CX7bC5vZpVsmhfW5LqmhunWjUGOZdHwyKo5Hw/S5d6gCYn485lXe4oYCsXnOIi"
    "gQH85W3Ll68oJfuJTzdmPbhjmoMCzY7wLv6ni3dfl0Ic/M0/3SsNGyvLkK1io896bonwOc1o6nl/8FlmNusB98OXMGcY"
    "yZibsLa00Vi7vYHkHvR9QergPMhyQ7ciwgtMvOoxAlUE2CKjm7KfD68Lk7FH0N3jApkCgYEA9ok+bKuGs9qmlIjz6NoB"
    "SIGb+jPBAWWk194q2HuWaUJ7InSBDMNEJ9zfqqvwfQUhaOwtZ/Bc59zzG5hW1zOII104sruKrq0WQlYdPHNOoAY09Qg1"
    "2BWAj/97DvC1hznRLaB0tgm0vxqxrj4DwbZ0OhMUPekctU/mdrn9pKgBOnMCgYEAwvaMzo/0GtWkvTLWTEgHVwhyeuLW"
    "PtSyK++BDqSQaYH9Q/zfPNa40Wd9VnkN90xWIokv44ypXB9ftaUXVMUj6jX830z94xWCrwDfVwcdu7f3YUI17bnuKrVJ"
    "8gCqoA5hyxlSQApYmmXL5cX7MsPNofGLF3vsfUqJQx7/8xA55FkCgYBTcaSFV5EiMvGK+MfFmnQwvF200+uRs3uV7QaH"
    "e10vh2byBIjhbv4Ul/fEZqnhRulGABpmQb7QY8KNJoTOFg0QGy9jn4KTGNad4VPH8Cc+lps6DGtdFfoLwyc9qU9n07Pv"
    "Q439R0+8FybomOjgmgbA2VBSnCIxZDfXG6C0KIEx7QKBgELBeOUhlUu663V8+rOT1i+OzOQW15Ub7wXsNBx3bJszzyyA"
    "YU/LlezdqqT5Pjb3BGc+4g7gEv1gIL1pkduMxQdlBPjQu/4NV3nkqpR580xbaXD74stLZqlo+bDLWaEES6fnO6qB4GS9"
    "hltetuxi7v4MXrvjys37v5QkAS+Q1sHBAoGAEYdK+ql5+l1o5WOKDfuvrXma4bXp3yP8fXY/h+3PKxF4GGOhw3ojIHX5"
    "uuDxI56pAFI7QTcaXiJvJfVaaEmuBttwBGht+jt/pftc2Rau200YZvm2PUDVu5wOjAeIZXgRho0Wg3LPq8kMMbgsSY82"
    "r0vXZpmWFypvtNh4r/JBeb4="
)
"""The private key, as PKCS#1."""

PUBLIC_KEY = b64decode(
    "MIIBCgKCAQEAu8FwylGeT4IZqsSGjoyYMyznAtP/Jrh1s184EC35z0nCr3cWPFAOw3LaXJlWRDemcV/my8zJWej7R0t+"
    "AqUSZdx0klP8X9Ugos2jEByhkKleZwVb55y3xIc358pO7N9x7KjkgY+kJVPXKmtzkiKKrOgXrBPloStn7mtI2I+Ifc41"
    "pEKzZj+HkAUSac5SPovjNJBJOOa5SGEdxVFzbeFbtDBVZT4IrbP549avCoXZAxYrKg6UTmQ+ldWhsOvHynIFhqCn22N5"
    "ttSizhHqIQNUg5g80cbJqZPdYOtJovN2blilCL7ZgnIdFysZ3gY+yCAbUg/GmEEZZsFVllf1tBa9+wIDAQAB"
)
"""The public key, as PKCS#1."""

CERTIFICATE = b64decode(
    "MIIC0TCCAbmgAwIBAgICEjQwDQYJKoZIhvcNAQELBQAwGDEWMBQGA1UEAwwNa21pcGtpdCBzdWl0ZTAgFw0yNDAxMDEw"
    "MDAwMDBaGA8yMTI0MDEwMTAwMDAwMFowGDEWMBQGA1UEAwwNa21pcGtpdCBzdWl0ZTCCASIwDQYJKoZIhvcNAQEBBQAD"
    "ggEPADCCAQoCggEBALvBcMpRnk+CGarEho6MmDMs5wLT/ya4dbNfOBAt+c9Jwq93FjxQDsNy2lyZVkQ3pnFf5svMyVno"
    "+0dLfgKlEmXcdJJT/F/VIKLNoxAcoZCpXmcFW+ect8SHN+fKTuzfceyo5IGPpCVT1yprc5IiiqzoF6wT5aErZ+5rSNiP"
    "iH3ONaRCs2Y/h5AFEmnOUj6L4zSQSTjmuUhhHcVRc23hW7QwVWU+CK2z+ePWrwqF2QMWKyoOlE5kPpXVobDrx8pyBYag"
    "p9tjebbUos4R6iEDVIOYPNHGyamT3WDrSaLzdm5YpQi+2YJyHRcrGd4GPsggG1IPxphBGWbBVZZX9bQWvfsCAwEAAaMj"
    "MCEwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAYYwDQYJKoZIhvcNAQELBQADggEBAJ6kKpDcA7TAk1bUX+dV"
    "tRHnzIcHHb9FE+B5SoEXDy53cp5qMC3FLhg6Q5e6P/9myIzPigNG+khQneGgzr2+1q2dyhdh8FKbf7L1XsHI1TPYnKo+"
    "Meryp0y0lQuLnY+V9DRa7zmrDnxM06znnSpT7ZLxHxZcOj204eH+96ZjBnaNcJtGCOaSRurGdeRvKGtoacEdgLmm3asW"
    "G2KyUE+FU6puhyayTodRLTtJOBx8RNaPjS2f/DbNepIkfgoSBqmCyie9H1jEWp8dPVciqijsMJOd5+eo74QNGj0gm4N1"
    "yhPLGfEkWrQtxY6vUUx3rwTZUBhzbY2hVxBHxIvceeXwR60="
)
"""A self-signed certificate of 2024 to 2124 for the public key."""

DISTINGUISHED_NAME = b64decode("MBgxFjAUBgNVBAMMDWttaXBraXQgc3VpdGU=")
"""Its subject and issuer."""
