/* SPDX-License-Identifier: MIT */
#ifndef COLDFRAME_COLDFRAME_H
#define COLDFRAME_COLDFRAME_H

#include <coldframe/alloc.h>
#include <coldframe/block.h>
#include <coldframe/frame.h>
#include <coldframe/lock.h>
#include <coldframe/map.h>
#include <coldframe/offline.h>
#include <coldframe/owner.h>
#include <coldframe/pagemap.h>
#include <coldframe/port.h>
#include <coldframe/retire.h>
#include <coldframe/stat.h>
#include <coldframe/types.h>
#include <coldframe/verify.h>
#include <coldframe/walk.h>

#define CF_VERSION_MAJOR 0
#define CF_VERSION_MINOR 1
#define CF_VERSION_PATCH 0

#endif
