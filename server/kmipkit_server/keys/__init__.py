"""Work on key material: conversion, wrapping, pairs, PKCS #12, the certificate authority."""
