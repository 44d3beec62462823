"""Core ML: conversion, variants, and the interpreter and linter that check them without a Mac."""
