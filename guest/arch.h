/* SPDX-License-Identifier: MIT */
#ifndef GUEST_ANY_ARCH_H
#define GUEST_ANY_ARCH_H

/* The processor the guest is compiled for. */

#if defined(__x86_64__)
#include "x86_64/arch.h"
#elif defined(__aarch64__)
#include "aarch64/arch.h"
#else
#error "the guest knows x86-64 and aarch64"
#endif

#endif
